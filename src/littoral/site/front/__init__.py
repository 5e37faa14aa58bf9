"""The front of an edge location: Caddy, started by the place, for what our own listener does not speak.

It ends TLS for HTTP/1.1, HTTP/2 and HTTP/3 and asks ACME for certificates; every request goes on to the core over a
Unix socket. Viewers' TCP connections are accepted before it, by us. A file per part:

====================  =================================================================================
``crossing``          before the front: whose bytes go on at once, whose in turn, whose not
``viewer``            a connection there
``probe``             how late the front is, and what it uses
``document``          what Caddy is told, as plain data
``process``           the child: started, watched, started anew, ended with the place
``door``              the core's side of the Unix socket: who the viewer is, said by the front alone
``keyring``           certificates for the front, name by name, at each handshake
``front``             the parts together, and a new document when other distributions are served
====================  =================================================================================
"""

from littoral.site.front.front import FrontFailed, find_caddy, listen_front

__all__ = ["FrontFailed", "find_caddy", "listen_front"]
