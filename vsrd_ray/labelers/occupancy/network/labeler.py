"""The labeler of occupancy where a trained network labels."""

from vsrd_ray.data.groups import FrameGroup
from vsrd_ray.labelers.base import PreparedGroup, TraceSink
from vsrd_ray.labelers.occupancy.config import OccupancyConfig
from vsrd_ray.labelers.occupancy.labeler import OccupancyLabeler
from vsrd_ray.labelers.occupancy.network.labels import Trained, load_network, network_voxels, read_images
from vsrd_ray.labelers.occupancy.placing import grid_pose
from vsrd_ray.labels.voxels.schema import Voxels
from vsrd_ray.storage import open_location


class NetworkLabeler(OccupancyLabeler):
    """See `vsrd_ray.labelers.base.Labeler` for what each of these is."""

    def __init__(self, config: OccupancyConfig, device: str) -> None:
        super().__init__(config, device)
        self.device = device
        self._trained: Trained | None = None

    def setup(self) -> None:
        """Load the network."""
        self._network()

    def prepare(self, group: FrameGroup) -> PreparedGroup:
        """Images at the size that the network sees."""
        T_world_grid = grid_pose(group.drive, group.plan.target_frame, self.config)
        size = self._network().settings.network.image_size
        return PreparedGroup.of(group, read_images(group, size, T_world_grid))

    def label(self, prepared: PreparedGroup, *, seed: int, trace: TraceSink | None = None) -> Voxels:
        """The voxels; nothing is left to chance."""
        del seed, trace
        return network_voxels(self._network(), prepared.payload, self.config.threshold)

    def _network(self) -> Trained:
        if self._trained is None:
            self._trained = load_network(open_location(self.config.checkpoint), self.config, self.device)
        return self._trained
