"""The site file: loaded, checked and built. It knows no adapter; their tables are handed in."""

from gateway.config.check import Checked, check
from gateway.config.faults import Fault
from gateway.config.lines import Lines
from gateway.config.load import load
from gateway.config.present import load_whole, missing
from gateway.config.shipped import profiles
from gateway.config.site import SiteFile
from gateway.config.tables import TableSpec

__all__ = ["Checked", "Fault", "Lines", "SiteFile", "TableSpec", "check", "load", "load_whole", "missing", "profiles"]
