"""What keeps a function to itself: namespaces, a root of its own, Landlock, seccomp, limits.

Standard library only and relative imports only: the keeper of instances loads this package by path, in whatever Python
it serves. Three stories: ``template`` (the root that all instances of a keeper share, made once by ``enter``), ``cell``
(what each instance adds to it), and ``fence`` with ``holder`` (the same for a core's programs, which keep the device's
files); ``first`` is what the last two have in common.
"""
