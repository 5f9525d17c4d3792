"""The fixtures of the integration tests serve the tests of the machine too."""

import importlib.util
import pathlib
import sys

INTEGRATION = pathlib.Path(__file__).resolve().parents[1] / "integration"

sys.path.insert(0, str(INTEGRATION))
spec = importlib.util.spec_from_file_location("integration_conftest", INTEGRATION / "conftest.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
globals().update((name, it) for name, it in vars(module).items() if not name.startswith("__"))
