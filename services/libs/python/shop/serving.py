"""How gunicorn serves (`gunicorn --config python:shop.serving app:app`): it listens on $PORT by itself.

One process with threads: the work is waiting for databases. On SIGTERM it takes no new
connections and finishes what is in flight.
"""

from shop import logs

worker_class = "gthread"
workers = 1
threads = 16
timeout = 30
graceful_timeout = 8
keepalive = 75  # longer than any caller keeps an idle connection, so that callers close first
control_socket_disable = True
loglevel = "warning"  # its everyday words are ours already


def on_starting(server):
    logs.begin()


def when_ready(server):
    logs.say("listens", address=", ".join(str(listener) for listener in server.LISTENERS))


def worker_exit(server, worker):
    logs.say("has answered everything and leaves")
