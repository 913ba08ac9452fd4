"""`vsrd-ray` with a Ray of its own, and the URLs of its metrics on the first line: python ray_training.py NODES train …

NODES is 1, a Ray of this machine's own, or 2: two nodes of one core each, so that two workers share none.
"""

import sys

import ray
from ray.cluster_utils import Cluster

from vsrd_ray.cli import main
from vsrd_ray.engines.ray_data.session import start_local

MEMORY = 256 * 2**20

if __name__ == "__main__":
    nodes, *words = sys.argv[1:]
    if nodes == "1":
        start_local(num_cpus=3, include_dashboard=False, object_store_memory=MEMORY, log_to_driver=False)
    else:
        options = {"num_cpus": 1, "object_store_memory": MEMORY}
        cluster = Cluster(initialize_head=True, head_node_args={**options, "include_dashboard": False})
        cluster.add_node(**options)
        ray.init(address=cluster.address, log_to_driver=False)
        cluster.wait_for_nodes()
    places = [f"{node['NodeManagerAddress']}:{node['MetricsExportPort']}" for node in ray.nodes()]
    print(*(f"http://{place}/metrics" for place in places), flush=True)
    main(words)
