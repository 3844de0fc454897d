"""``workers:`` of ``clues.yaml`` as models: what is in place on every VM before jobs run on it."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Literal

from clues.config.fields import (
    Driver,
    Duration,
    Folder,
    Line,
    Names,
    Number,
    SomeTime,
    Word,
    WordList,
    YesNo,
    key,
)
from clues.config.network_fields import (
    Exported,
    Host,
    MountOptions,
    Uids,
)
from clues.config.section import Section


class AccountsSection(Section):
    """How workers know the users. Where their image asks a directory by itself (sssd), nothing is to be done here."""

    export: YesNo = key("Workers get the users and groups of the front-end, without passwords, kept fresh.", False)
    uids: Uids = key("Only users and groups with these ids.", (1000, 59999))


class ShareSection(Section):
    """A folder that workers mount when they start, with nosuid and nodev."""

    path: Exported = key("The folder, at the front-end and on the workers.")
    server: Host | None = key(
        "Who exports it. Without it: the front-end, at the address where the worker enrols.", None
    )
    type: Literal["nfs4", "nfs"] = key("The type of file system.", "nfs4")
    options: MountOptions | None = key("Further options of mount(8).", None)


class HookSection(Section):
    """A program of the site that workers run when they start, as root: for software, scratch, container engines."""

    shorthand: ClassVar[str] = "file"

    file: Folder = key("The program on the front-end, which `cluesd` can read; it begins with `#!`. At most 64 KiB.")
    name: Word | None = key("What it is called in reports. Without it, its file's name up to the first dot.", None)
    timeout: SomeTime = key("It is ended after so long, which counts as a failure.", timedelta(minutes=2))
    required: YesNo = key("Whether a worker on which it fails is given up. If not, that is only told.", True)
    sites: WordList = key("Only at these sites. Without it, at all of them.", ())
    pools: WordList = key("Only on workers of these pools. Without it, on all of them.", ())


class GpusSection(Section):
    """What is looked at on a worker with GPUs before its slurmd starts."""

    check: YesNo = key(
        "Whether it is looked at. It takes NVIDIA's driver with `nvidia-smi`: switch it off for other makes.", True
    )
    driver: Driver = key("The oldest driver that is taken, such as `535.104`. Empty: any.", "")
    names: dict[Word, Names] = key(
        "What `nvidia-smi -L` calls the GPUs of a type, where the type is not a word of that name: "
        '`{a100_40: "NVIDIA A100-SXM4-40GB"}`. For a part of a split GPU (MIG) with its profile: '
        '`{small: "NVIDIA A100-SXM4-40GB MIG 1g.5gb"}`.',
        default_factory=dict,
    )
    ecc: YesNo = key("Whether uncorrected memory errors (ECC) since its start are a reason to refuse it.", True)
    xid: YesNo = key(
        "Whether errors of the hardware that the driver has noted in the kernel's log (Xid) are. Those that programs "
        "cause are not counted.",
        True,
    )


class WorkersSection(Section):
    """How workers start, and how they end when nobody is there any more to end them."""

    hooks: list[HookSection] = key("Programs that they run when they start, in this order.", default_factory=list)
    gpus: GpusSection = key("What is looked at on workers with GPUs.", default_factory=GpusSection)
    dead_man: Duration = key(
        "A VM powers itself off when it has heard neither of slurmctld nor of clues for so long, once no job runs "
        "there; a router after twice that. `0s`: never.",
        timedelta(minutes=60),
    )
    guard_metadata: YesNo = key(
        "Whether only root on a VM reaches the metadata service of its cloud, which may tell secrets.", True
    )


class SshSection(Section):
    """How `clues logs --ssh` reaches VMs, and `clues ssh`, which uses your own keys where this one cannot be read."""

    identity: Line = key(
        "The private key: a path, or the name of a systemd credential. Its public half is in the image, or the "
        "provider puts it into VMs (`key_pair` of the site)."
    )
    user: Word = key("As whom. One that is not root needs sudo without a password there.", "root")
    port: Number = key("Where the VMs' sshd listens.", 22)
