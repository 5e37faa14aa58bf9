"""The web application firewall: web ACLs compiled once into a matcher, and the WAFv2 API that makes them."""
