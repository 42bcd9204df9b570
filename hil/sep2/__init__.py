"""The DSO's side of IEEE 2030.5 on other people's models; binds envoy-schema to the CSIP-AUS 1.2 namespace.

envoy-schema builds its serializers when a model class is made, with the namespaces known at that moment, so the edition
is chosen here, before any module of this package imports a model: one process speaks one edition.
"""

import sys

from envoy_schema.server.schema.sep2 import base

CSIPAUS_NS = "https://csipaus.org/ns"

if base.nsmap["csipaus"] != CSIPAUS_NS and "envoy_schema.server.schema.sep2.identification" in sys.modules:
    raise ImportError("envoy-schema models are already bound to another CSIP-AUS edition; import hil.sep2 first")
base.nsmap["csipaus"] = CSIPAUS_NS
