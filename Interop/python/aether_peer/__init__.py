"""A second implementation of the federation's channel, written from PROTOCOL.md alone.

It exists to prove that the page is enough. It is not hardened for use as a server: Python cannot overwrite secrets.
"""
