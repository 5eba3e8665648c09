"""PyPI openapi-spec-validator: each file given is a valid OpenAPI 3.1 document."""

import json
import sys
from pathlib import Path

from openapi_spec_validator import OpenAPIV31SpecValidator

problems = []
for name in sys.argv[1:]:
    document = json.loads(Path(name).read_text())
    problems += [f"{name}: {'/'.join(map(str, error.path))}: {error.message[:300]}" for error in OpenAPIV31SpecValidator(document).iter_errors()]
if problems:
    sys.exit("\n".join(problems))
print(json.dumps({"documents": len(sys.argv) - 1}))
