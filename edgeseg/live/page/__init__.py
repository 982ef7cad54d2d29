"""The web page of a running stream: a server in a thread, and one WebSocket that the browser pulls from.

Its modules need the packages of `edgeseg[web]`.
"""
