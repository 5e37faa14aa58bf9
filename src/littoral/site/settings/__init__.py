"""Settings of a place: one table, read once at the rim, passed down.

Owns: the table (the fields of ``Settings``), where a value may come from and what is said when it is wrong. Knows no
capability. A value comes from, first found wins::

    flag --edge-port  >  variable LITTORAL_EDGE_PORT  >  edge_port in the TOML file  >  default

The TOML file is ``--config FILE`` (``LITTORAL_CONFIG``), else ``$XDG_CONFIG_HOME/littoral/littoral.toml`` if there.
A key that is no setting is an error, not a surprise. ``littoral settings`` prints what holds and where it came from,
``littoral settings --markdown`` the table of docs/settings.md.
"""

from littoral.site.settings.kinds import KINDS, NAME, PORT, URL
from littoral.site.settings.loading import Loaded, SettingsError, check_runnable, load, read_credentials
from littoral.site.settings.table import TABLE, Row, Settings

__all__ = [
    "KINDS",
    "NAME",
    "PORT",
    "TABLE",
    "URL",
    "Loaded",
    "Row",
    "Settings",
    "SettingsError",
    "check_runnable",
    "load",
    "read_credentials",
]
