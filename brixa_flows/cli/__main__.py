"""``python -m brixa_flows.cli`` is ``brixa``."""

from brixa_flows.cli.main import main

if __name__ == "__main__":
    main()
