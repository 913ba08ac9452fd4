"""`vsrd-ray` with a Ray of its own, and the URL of its metrics on the first line: python ray_training.py train …"""

import sys

import ray

from vsrd_ray.cli import main
from vsrd_ray.engines.ray_data.session import start_local

if __name__ == "__main__":
    start_local(num_cpus=3, include_dashboard=False, object_store_memory=256 * 2**20, log_to_driver=False)
    (node,) = ray.nodes()
    print(f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics", flush=True)
    main(sys.argv[1:])
