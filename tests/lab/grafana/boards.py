"""The three dashboards: the cluster, its sites and what they cost, and the overlay."""

from __future__ import annotations

import json
from pathlib import Path

from tests.lab.grafana.panels import Board, Panel, Query, as_json

FOLDER = Path(__file__).parents[3] / "templates" / "grafana"


def or_zero(expression: str) -> str:
    """Return *expression*, and 0 where it finds nothing: a panel that is empty looks broken."""
    return f"{expression} or on() vector(0)"


def number(title: str, expression: str, text: str, *, unit: str = "short", red: float | None = None) -> Panel:
    """Return a panel of one number, an eighth of the width."""
    return Panel(title, [Query(expression)], text, kind="stat", unit=unit, width=3, red=red)


def quantiles(metric: str, by: str) -> list[Query]:
    """Return queries for the middle and the slow end of a histogram; nothing seen counts as 0."""
    return [
        Query(
            or_zero(f"histogram_quantile({q}, sum by (le, {by}) (rate({metric}_bucket[$__rate_interval]))) >= 0"),
            legend,
        )
        for q, legend in ((0.5, f"{{{{{by}}}}} median"), (0.95, f"{{{{{by}}}}} 95 %"))
    ]


CLUSTER = Board(
    "clues-cluster",
    "clues: the cluster",
    "What runs, what waits and why, and whether the daemon can do its work.",
    [
        number("Nodes up", or_zero('sum(clues_nodes{state=~"idle|busy|draining"})'), "Nodes that run jobs or could."),
        number(
            "Starting",
            or_zero('sum(clues_nodes{state=~"wanted|launching|booting|joining"})'),
            "VMs on their way.",
        ),
        number("Jobs waiting", "sum(clues_jobs_waiting)", "Pending jobs, arrays with all their tasks."),
        number("Jobs running", "sum(clues_jobs_running)", "Jobs that run."),
        number("Cost an hour", "sum(clues_cost_per_hour)", "What runs and starts now, in the cluster's currency."),
        number("Spent today", "clues_spent_today", "Since midnight UTC, in the cluster's currency."),
        number("Troubles", "clues_troubles", "`clues status` tells which.", red=1),
        number("Last tick", "time() - clues_last_tick_timestamp_seconds", "Time since then.", unit="s", red=120),
        Panel(
            "Nodes by state",
            [Query('sum by (state) (clues_nodes{state!="off"})', "{{state}}")],
            "All nodes of the pools that are not off.",
            stacked=True,
        ),
        Panel(
            "Nodes by site",
            [Query(or_zero('sum by (site) (clues_nodes{site!=""})'), "{{site}}")],
            "Nodes that have a VM, by where it is.",
            stacked=True,
        ),
        Panel(
            "Jobs that wait, by what for",
            [Query("sum by (verdict) (clues_jobs_waiting)", "{{verdict}}")],
            "`blocked`: nodes are needed and none can be had; `clues explain JOB` tells why. `waits`, `never`, "
            "`unknown`: no node would help.",
            stacked=True,
        ),
        Panel(
            "Jobs that wait, by Slurm's reason",
            [Query(or_zero("sum by (reason) (clues_jobs_pending)"), "{{reason}}")],
            "As squeue shows it.",
            stacked=True,
        ),
        Panel(
            "Age of what is known",
            [Query("clues_observation_age_seconds", "{{source}}")],
            "What is older than `pace.stale_after` is not acted upon.",
            unit="s",
        ),
        Panel(
            "CPU time of a tick",
            [
                Query(
                    f"histogram_quantile({q}, sum by (le) (rate(clues_tick_cpu_seconds_bucket[$__rate_interval])))",
                    name,
                )
                for q, name in ((0.5, "median"), (0.95, "95 %"))
            ],
            "What it takes to decide, commit and send off.",
            unit="s",
        ),
    ],
)

SITES = Board(
    "clues-sites",
    "clues: sites and cost",
    "What the sites give, refuse and cost.",
    [
        Panel(
            "Cost an hour by site",
            [Query("sum by (site) (clues_cost_per_hour)", "{{site}}")],
            "What runs and starts, in the cluster's currency.",
            stacked=True,
        ),
        Panel(
            "Cost an hour by pool",
            [Query("sum by (pool) (clues_cost_per_hour)", "{{pool}}")],
            "What runs and starts, in the cluster's currency; routers have no pool.",
            stacked=True,
        ),
        Panel(
            "Launches",
            [Query(or_zero("sum by (site) (increase(clues_launches_total[$__rate_interval]))"), "{{site}}")],
            "VMs that were asked for.",
        ),
        Panel(
            "Failures",
            [
                Query(
                    or_zero("sum by (site, failure) (increase(clues_claim_failures_total[$__rate_interval]))"),
                    "{{site}} {{failure}}",
                )
            ],
            "VMs that came to nothing or were lost. `clues events` tells each with its reason.",
        ),
        Panel("Time to boot", quantiles("clues_boot_seconds", "site"), "From launch to enrolment.", unit="s"),
        Panel(
            "Time to join", quantiles("clues_join_seconds", "site"), "From enrolment to the node's opening.", unit="s"
        ),
        Panel(
            "Calls to providers",
            [
                Query(
                    "sum by (site, outcome) (rate(clues_provider_request_seconds_count[$__rate_interval]))",
                    "{{site}} {{outcome}}",
                )
            ],
            "Calls a second by their outcome.",
            unit="ops",
        ),
        Panel(
            "Time of calls to providers",
            quantiles("clues_provider_request_seconds", "site"),
            "Waits for the site's rate limit included.",
            unit="s",
        ),
        Panel(
            "Offers that rest",
            [Query(or_zero("sum by (site, failure) (clues_resting_offers)"), "{{site}} {{failure}}")],
            "What failed lately and is left alone for a while; `clues offers` tells until when.",
        ),
        Panel(
            "Quota in use",
            [Query(or_zero("clues_quota_used / on (site, resource) clues_quota"), "{{site}} {{resource}}")],
            "As the provider counts it, whoever uses it.",
            unit="percentunit",
        ),
        Panel(
            "Leaked and untagged VMs",
            [
                Query("clues_leaked_instances", "leaked"),
                Query("sum by (site) (clues_untagged_instances)", "untagged, {{site}}"),
            ],
            "Either is worth a look: clues does not end a VM of which it is not sure.",
        ),
        Panel(
            "Credentials end in",
            [
                Query(
                    or_zero("clues_credentials_expiry_timestamp_seconds - time()"),
                    "{{site}}",
                )
            ],
            "Sites whose credentials end for good; 0 where none do.",
            unit="s",
        ),
    ],
)

OVERLAY = Board(
    "clues-overlay",
    "clues: the private network",
    "Central points, tunnels, certificates.",
    [
        number("Central points up", "sum(clues_hub_up)", "Of those that are configured."),
        number("Tunnels", or_zero("sum(clues_tunnels)"), "Routers and workers that are connected."),
        number("Tunnels missing", "sum(clues_tunnels_missing)", "VMs that enrolled and are not connected.", red=1),
        number("Strangers", "clues_network_strangers", "Hosts in our networks that are no VM of ours.", red=1),
        Panel(
            "Tunnels by site",
            [Query(or_zero("sum by (site) (clues_tunnels)"), "{{site}}")],
            "What is connected.",
        ),
        Panel(
            "Traffic by site",
            [
                Query(
                    or_zero("sum by (site, direction) (rate(clues_tunnel_bytes_total[$__rate_interval]))"),
                    "{{site}} {{direction}}",
                )
            ],
            "Bytes a second through the central points, as seen from there; shortcuts are not in it.",
            unit="Bps",
        ),
        Panel(
            "Shortcuts",
            [Query(or_zero("sum by (state) (clues_shortcuts)"), "{{state}}")],
            "Between two routers.",
        ),
        Panel(
            "Certificates end in",
            [Query("clues_hub_certificate_expiry_timestamp_seconds - time()", "{{hub}}")],
            "They are renewed by themselves, long before.",
            unit="s",
        ),
        Panel(
            "Revocation lists end in",
            [Query("clues_hub_crl_expiry_timestamp_seconds - time()", "{{hub}}")],
            "They are renewed by themselves; one that ends locks everybody out.",
            unit="s",
        ),
    ],
)

BOARDS = {"cluster": CLUSTER, "sites": SITES, "overlay": OVERLAY}


def render(name: str) -> str:
    """Return the text of one dashboard's file."""
    board = BOARDS[name]
    return json.dumps(as_json(board, [one for one in BOARDS.values() if one is not board]), indent=1) + "\n"
