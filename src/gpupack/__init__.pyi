"""The public names, and where they live; ``__init__.py`` loads them on first use."""

from .comparison import Comparison, compare
from .cost import Cost, ModelCost
from .deploying import Deployment, DeployOptions, Status, check_status, deploy
from .errors import (
    CheckError,
    DeviceError,
    GpupackError,
    InfeasibleError,
    InvalidInputError,
    ItemTooLargeError,
    LoadPointError,
    MissingExtraError,
    MissingReadingError,
    NotFoundInTimeError,
    NotProfilesError,
    ProfileDataError,
    ServerError,
    ServerUnavailableError,
    StoreError,
    UnknownNameError,
)
from .examples import load_example
from .importers.prometheus import read_prometheus
from .importers.reader import read_profiles
from .observed_cluster import ObservedCluster
from .placement import Placement
from .planning import (
    Rightsizing,
    explain,
    frontier,
    place,
    recommend,
    rightsize,
)
from .profile_set import ProfileSet
from .profiling import (
    EmbeddedServer,
    InputOptions,
    MeasureOptions,
    ModelFileOptions,
    MpsDaemon,
    ServerOptions,
    TlsOptions,
    profile,
    profile_on_ray,
)
from .recommendation import Assumption, BuyOption, ModelEvidence, Recommendation
from .records.calibration import Calibration
from .records.environment import Environment, SharingMode
from .records.explanation import (
    BindingResource,
    ChangeKind,
    Explanation,
    ResourceNeed,
    SavingChange,
)
from .records.frontier import FrontierPoint
from .records.gpu import DeviceKind, Fleet, FleetEntry, GpuType, Headroom, Resource
from .records.placement import (
    Assignment,
    EqualGpus,
    GpuPlacement,
    ObjectiveUnit,
    PlacedGpus,
    PlacementStatus,
    ResourceUse,
    SharingAlternative,
)
from .records.profile import (
    FailedLoadPoint,
    LoadPoint,
    ProfileRecord,
    RecordOrigin,
    ServerBaseline,
)
from .records.request import (
    ArrivalProcess,
    Arrivals,
    Billing,
    ContentionRule,
    Fairness,
    GpuSupply,
    LatencyRule,
    ModelWishes,
    Objective,
    Request,
)
from .records.running.observed_cluster import (
    ObservationWindow,
    ObservedDemand,
    ObservedGpu,
)
from .records.running.verification import GpuVerification, ModelVerdict
from .report.page.comparing.moves import Change, ModelChange, ModelSide, Move
from .request_file import read_request
from .store import (
    read_deployment,
    read_observed_cluster,
    read_placement,
    write_observed_cluster,
    write_placement,
    write_profiles,
)
from .trade_off import Frontier
from .verifying import Verification, calibrate, verify

__version__: str

__all__ = [
    "ArrivalProcess",
    "Arrivals",
    "Assignment",
    "Assumption",
    "Billing",
    "BindingResource",
    "BuyOption",
    "Calibration",
    "Change",
    "ChangeKind",
    "CheckError",
    "Comparison",
    "ContentionRule",
    "Cost",
    "DeployOptions",
    "Deployment",
    "DeviceError",
    "DeviceKind",
    "EmbeddedServer",
    "Environment",
    "EqualGpus",
    "Explanation",
    "FailedLoadPoint",
    "Fairness",
    "Fleet",
    "FleetEntry",
    "Frontier",
    "FrontierPoint",
    "GpuPlacement",
    "GpuSupply",
    "GpuType",
    "GpuVerification",
    "GpupackError",
    "Headroom",
    "InfeasibleError",
    "InputOptions",
    "InvalidInputError",
    "ItemTooLargeError",
    "LatencyRule",
    "LoadPoint",
    "LoadPointError",
    "MeasureOptions",
    "MissingExtraError",
    "MissingReadingError",
    "ModelChange",
    "ModelCost",
    "ModelEvidence",
    "ModelFileOptions",
    "ModelSide",
    "ModelVerdict",
    "ModelWishes",
    "Move",
    "MpsDaemon",
    "NotFoundInTimeError",
    "NotProfilesError",
    "Objective",
    "ObjectiveUnit",
    "ObservationWindow",
    "ObservedCluster",
    "ObservedDemand",
    "ObservedGpu",
    "PlacedGpus",
    "Placement",
    "PlacementStatus",
    "ProfileDataError",
    "ProfileRecord",
    "ProfileSet",
    "Recommendation",
    "RecordOrigin",
    "Request",
    "Resource",
    "ResourceNeed",
    "ResourceUse",
    "Rightsizing",
    "SavingChange",
    "ServerBaseline",
    "ServerError",
    "ServerOptions",
    "ServerUnavailableError",
    "SharingAlternative",
    "SharingMode",
    "Status",
    "StoreError",
    "TlsOptions",
    "UnknownNameError",
    "Verification",
    "calibrate",
    "check_status",
    "compare",
    "deploy",
    "explain",
    "frontier",
    "load_example",
    "place",
    "profile",
    "profile_on_ray",
    "read_deployment",
    "read_observed_cluster",
    "read_placement",
    "read_profiles",
    "read_prometheus",
    "read_request",
    "recommend",
    "rightsize",
    "verify",
    "write_observed_cluster",
    "write_placement",
    "write_profiles",
]
