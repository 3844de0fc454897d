"""The queue of a simulated Slurm: jobs come, start, end, are requeued."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable
from dataclasses import replace
from operator import is_
from random import Random

from clues.model import NOTHING, Job
from clues.simulation.slurm.backfill import Scheduler
from clues.simulation.slurm.parts import JobState, SimJob, SimNode, SimReservation, in_slurms_order
from clues.simulation.timeline import Timeline
from clues.simulation.worlds.profiles import SlurmProfile

#: How often a job's end is tried again where nobody can be told of it, in seconds.
AGAIN = 10.0


class SimQueue:
    """Jobs, over nodes that :class:`~clues.simulation.slurm.controller.SimSlurm` keeps."""

    def __init__(self, time: Timeline, chance: Random, profile: SlurmProfile) -> None:
        self._time, self._chance, self.profile = time, chance, profile
        self.nodes: dict[str, SimNode] = {}
        self._by_partition: dict[str, list[SimNode]] = {}
        #: jobs that are not over, in the order in which they came; those among them that wait, in Slurm's own order
        self.active: dict[str, SimJob] = {}
        self.queue: list[SimJob] = []
        self.reservations: list[SimReservation] = []
        self.counts = {"submitted": 0, "started": 0, "completed": 0, "canceled": 0, "failed": 0}
        #: slurmctld does not answer
        self.out = False
        #: whether an instance can be reached
        self.answers: Callable[[str], bool] = bool
        #: told of jobs as they start and end, and of what has changed besides
        self.on_start: Callable[[SimJob], None] = nothing
        self.on_end: Callable[[SimJob], None] = nothing
        self.on_change: Callable[[], None] = lambda: None
        #: told of less: a pass has left jobs in the queue; a job has ended
        self.on_waiting: Callable[[], None] = lambda: None
        self.on_leisure: Callable[[SimJob], None] = nothing
        self._pass_due = False
        self._job_pictures: dict[str, Job] = {}
        self._jobs_told: tuple[Job, ...] = ()
        self.touched: set[str] = set()

    def job_pictures(self) -> tuple[Job, ...]:
        """Return all jobs that are not over; the same object while none of them has changed."""
        known = self._job_pictures
        found = []
        for name, job in self.active.items():
            picture = known.get(name)
            if picture is None:
                picture = known[name] = job.picture(self._time)
            found.append(picture)
        if len(found) != len(self._jobs_told) or not all(map(is_, found, self._jobs_told)):
            self._jobs_told = tuple(found)
        return self._jobs_told

    def submit(self, job: SimJob) -> None:
        """Take a job into the queue."""
        job.submitted = self._time.passed
        job.eligible = max(job.eligible, job.submitted)
        self.active[job.id] = job
        insort(self.queue, job, key=in_slurms_order)
        self.counts["submitted"] += 1
        self._changed(job)
        self.wake()

    def cancel(self, job: SimJob) -> None:
        """``scancel``: what runs is completing, what waits is gone."""
        job.tasks.clear()
        if job.on:
            self._complete(job, JobState.CANCELLED)
        elif job.state is JobState.PENDING:
            self.queue.remove(job)
            self._over(job, JobState.CANCELLED)
            self.on_change()
        self.counts["canceled"] += 1

    def change(self, job: SimJob) -> None:
        """Something of a pending job has changed: hold, constraint."""
        self._changed(job)
        self.wake()

    def reserve(self, reservations: Iterable[SimReservation]) -> None:
        """Have these reservations and no others."""
        self.reservations[:] = reservations
        self.wake()

    def wake(self) -> None:
        """Have a scheduling pass soon."""
        if not self._pass_due and self.queue:
            self._pass_due = True
            self._time.after(self.profile.schedule.draw(self._chance), self._pass)

    def _pass(self) -> None:
        self._pass_due = False
        if self.out:
            return  # the end of the outage wakes it again
        scheduler = Scheduler(self.nodes, self._by_partition, self.reservations, self._time.passed, self.profile.depth)
        scheduler.run(list(self.queue), self._start)
        self._tell_reasons()
        if self.queue:
            self.on_waiting()

    def _tell_reasons(self) -> None:
        first = True
        for job in self.queue[: self.profile.depth]:
            if job.held:
                reason = "JobHeldUser"
            elif job.eligible > self._time.passed:
                reason = "BeginTime"
            elif job.tasks and job.startable() <= 0:
                reason = "JobArrayTaskLimit"
            elif first:
                first, reason = False, self._why(job)
            else:
                reason = "Priority"
            if reason != job.reason:
                job.reason = reason
                self._job_pictures.pop(job.id, None)

    def _why(self, job: SimJob) -> str:
        closed = next((one.name for one in self._by_partition.get(job.partition, ()) if not one.serving), "")
        return f"ReqNodeNotAvail, UnavailableNodes:{closed}" if closed else "Resources"

    def _start(self, job: SimJob, nodes: list[SimNode]) -> None:
        if job.tasks:
            job = self._next_task(job)
        else:
            self.queue.remove(job)
            if job.array is not None:
                job.array.tasks_running += 1
        now = self._time.passed
        job.on = tuple(node.name for node in nodes)
        job.vms = tuple("" if "POWERED_DOWN" in node.flags else node.vm for node in nodes)
        job.started = now
        job.first_started = now if job.first_started is None else job.first_started
        for node in nodes:
            node.jobs[job.id] = job
            node.used = node.used.plus(job.need)
            self.touched.add(node.name)
            if "POWERED_DOWN" in node.flags:
                self._power_up(node)
        self.counts["started"] += 1
        self._runs_if_whole(job)
        self._changed(job)
        self.on_start(job)

    def _next_task(self, array: SimJob) -> SimJob:
        array.tasks_started += 1
        array.tasks_running += 1
        task = replace(
            array,
            id=f"{array.id}_{array.tasks_started}",
            runs=array.tasks.pop(0),
            tasks=[],
            array=array,
            state=JobState.PENDING,
            on=(),
            vms=(),
        )
        self.active[task.id] = task
        if not array.tasks:
            array.state = JobState.RUNNING  # of the record nothing waits any more
            self.queue.remove(array)
            self.active.pop(array.id)
            self._job_pictures.pop(array.id, None)
        else:
            self._changed(array)
        return task

    def _runs_if_whole(self, job: SimJob) -> None:
        if not all(job.vms):
            job.state = JobState.CONFIGURING
            return
        job.state = JobState.RUNNING
        takes = job.runs if job.limit is None else min(job.runs, job.limit)
        job.ending = self._time.after(takes, lambda: self._ends(job))

    def _ends(self, job: SimJob) -> None:
        if self.out or not all(self.answers(vm) for vm in job.vms):
            job.ending = self._time.after(AGAIN, lambda: self._ends(job))
            return
        late = job.limit is not None and job.runs > job.limit
        self._complete(job, JobState.TIMEOUT if late else JobState.COMPLETED)

    def _complete(self, job: SimJob, state: JobState) -> None:
        if job.state is JobState.COMPLETING:
            return
        if job.ending is not None:
            job.ending.cancel()
        job.state = JobState.COMPLETING
        self.touched.update(job.on)
        self._changed(job)
        self.counts["completed"] += 1
        job.ending = self._time.after(self.profile.completing.draw(self._chance), lambda: self._leaves(job, state))

    def _leaves(self, job: SimJob, state: JobState) -> None:
        if self.out or not all(self.answers(vm) for vm in job.vms if vm):
            job.ending = self._time.after(AGAIN, lambda: self._leaves(job, state))
            return
        self._release(job)
        self._over(job, state)
        self.wake()

    def _release(self, job: SimJob) -> None:
        for name in job.on:
            node = self.nodes[name]
            if node.jobs.pop(job.id, None) is None:
                continue
            others = [other.need for other in node.jobs.values()]
            used = NOTHING
            for need in others:
                used = used.plus(need)
            node.used, node.last_busy = used, self._time.shown(self._time.passed)
            self.touched.add(name)
            self._may_be_idle(node)
        if job.ending is not None:
            job.ending.cancel()
            job.ending = None

    def _over(self, job: SimJob, state: JobState) -> None:
        job.state, job.ended = state, self._time.passed
        self.active.pop(job.id, None)
        self._job_pictures.pop(job.id, None)
        if job.array is not None:
            job.array.tasks_running -= 1
            if job.array.throttle:
                self._changed(job.array)
        self.on_end(job)
        self.on_leisure(job)

    def _requeue(self, job: SimJob) -> None:
        if job.state is JobState.COMPLETING:
            self._release(job)
            self._over(job, JobState.COMPLETED)
            return
        self._release(job)
        if job.array is not None:
            job.array.tasks_running -= 1
        job.on, job.vms, job.started = (), (), None
        job.state, job.reason = JobState.PENDING, "BeginTime"
        job.requeues += 1
        job.eligible = self._time.passed + self.profile.requeue
        insort(self.queue, job, key=in_slurms_order)
        self._changed(job)
        self.on_change()
        self._time.after(self.profile.requeue + 0.001, self._eligible_now)

    def _eligible_now(self) -> None:
        self.wake()
        self.on_change()

    def _changed(self, job: SimJob) -> None:
        self._job_pictures.pop(job.id, None)

    def _may_be_idle(self, node: SimNode) -> None:
        """A job has left it."""

    def _power_up(self, node: SimNode) -> None:
        """A job was given a node that is off."""
        raise NotImplementedError


def nothing(_: object) -> None:
    """Nobody is to be told."""
