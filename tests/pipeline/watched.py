"""A driver that is watched: its Ray stays up after its run, until its input ends: python watched.py '{"root": …}'.

The arguments are those of drive.py. Once the run has ended, a line of JSON says where its Ray can be asked.
"""

import json
import sys

import drive
import ray

from vsrd_ray.engines.ray_data.session import start_local

if __name__ == "__main__":
    options = json.loads(sys.argv[1])
    with_dashboard = options.pop("with_dashboard")
    # Of its own, whatever other Ray there is on this machine.
    context = start_local(num_cpus=3, include_dashboard=with_dashboard, object_store_memory=256 * 2**20)
    code = drive.main(**options)
    (node,) = ray.nodes()
    where = {
        "code": code,
        "metrics": f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics",
        "dashboard": context.dashboard_url,
        "job": ray.get_runtime_context().get_job_id(),
    }
    print(json.dumps(where), flush=True)
    sys.stdin.read()
