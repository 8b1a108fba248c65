"""The configuration of a Prometheus that watches a platform on this machine: every process, and the rules for alerts.

```sh
prometheus --config.file=DIRECTORY/prometheus.yml --storage.tsdb.path=/tmp/prometheus
```
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ops.run.services.process import LOOPBACK

RULES = Path(__file__).parents[1] / "prometheus" / "rules.yml"
SCRAPE_S = 5


def config(*, api_port: int, token_file: Path, metrics_ports: Mapping[str, int], interval_s: int = SCRAPE_S) -> str:
    """The configuration in YAML. `metrics_ports` has the port of each dataflow's process by its name."""
    lines = [
        f"global: {{scrape_interval: {interval_s}s, evaluation_interval: {interval_s}s}}\n",
        f"rule_files: [{json.dumps(str(RULES))}]\n",
        "scrape_configs:\n",
        "  - job_name: api\n",
        f"    authorization: {{credentials_file: {json.dumps(str(token_file))}}}\n",
        f'    static_configs: [{{targets: ["{LOOPBACK}:{api_port}"]}}]\n',
        "  - job_name: dataflows\n",
        "    static_configs:\n",
    ]
    for name, port in metrics_ports.items():
        lines.append(f'      - {{targets: ["{LOOPBACK}:{port}"], labels: {{dataflow: {json.dumps(name)}}}}}\n')
    return "".join(lines)
