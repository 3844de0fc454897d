// The jobs that wait, each with its reason and forecast.

export class Queue {
  constructor(body, caption, choose) {
    this.body = body;
    this.caption = caption;
    this.choose = choose;
    this.rows = new Map();
    body.replaceChildren();
  }

  apply(change) {
    if (!change.queue_changed) return;
    const waiting = change.jobs.filter((job) => job.state === "pending");
    const rows = waiting.map((job) => this.row(job));
    const known = new Set(waiting.map((job) => job.id));
    for (const id of this.rows.keys()) if (!known.has(id)) this.rows.delete(id);
    if (rows.length !== this.body.childElementCount || rows.some((row, at) => this.body.children[at] !== row)) {
      this.body.replaceChildren(...rows);
    }
    const running = change.jobs_total - waiting.length;
    this.caption.textContent = waiting.length
      ? `${waiting.length} jobs wait, ${running} run`
      : `No job waits, ${running} ${running === 1 ? "runs" : "run"}`;
  }

  row(job) {
    const text = JSON.stringify(job);
    const before = this.rows.get(job.id);
    if (before && before.text === text) return before.row;
    const row = before ? before.row : document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    const link = document.createElement("button");
    link.type = "button";
    link.className = "link";
    link.textContent = job.count > 1 ? `${job.id} (${job.count})` : job.id;
    link.addEventListener("click", () => this.choose(job.id));
    head.append(link);
    const cells = [job.user, job.waits_for || job.why || job.slurm_reason, expected(job)].map((words) => {
      const cell = document.createElement("td");
      cell.textContent = words;
      return cell;
    });
    row.replaceChildren(head, ...cells);
    this.rows.set(job.id, { row, text });
    return row;
  }
}

function expected(job) {
  const time = (text) => new Date(text).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
  if (!job.start_early) return "unknown";
  if (!job.start_late) return `not before ${time(job.start_early)}`;
  return job.start_early === job.start_late ? time(job.start_early) : `${time(job.start_early)} to ${time(job.start_late)}`;
}
