"""Reads one unread book now and then."""

import os
import sys
import time

import shelf

every = int(sys.argv[sys.argv.index("--every") + 1])
while True:
    connection = shelf.connect()
    read = connection.run(
        "UPDATE books SET read_at = now() WHERE id = (SELECT min(id) FROM books WHERE read_at IS NULL) RETURNING title"
    )
    connection.close()
    for (title,) in read:
        print(os.environ["WORKER_NAME"], "has read", title, flush=True)
    time.sleep(every)
