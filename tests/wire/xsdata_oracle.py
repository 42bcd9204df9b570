"""Read 2030.5 bodies with classes that xsdata made of a schema, in a process of its own.

Standard input: a JSON list of bodies. Standard output: what is written again of each. First argument: the folder of the
package, second: its name.
"""

import json
import sys
import warnings
from importlib import import_module
from typing import Any


def main() -> None:
    """Answer one request and end."""
    folder, package = sys.argv[1:]
    sys.path.insert(0, folder)
    import_module(package)
    parser: Any = import_module("xsdata.formats.dataclass.parsers").XmlParser()
    serializer: Any = import_module("xsdata.formats.dataclass.serializers").XmlSerializer()
    warnings.simplefilter("error")  # a value that does not convert is a warning there
    json.dump([serializer.render(parser.from_bytes(body.encode())) for body in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
