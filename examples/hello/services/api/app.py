"""The API of the wall: GET and POST /greetings."""

import os

import server
from database import Pool, Unavailable
from greetings import Invalid, Wall, parse

def handler(wall, node_id):
    def answering(function):
        """Turns what can go wrong here into what a client should see."""

        def answer(request, body):
            try:
                return function(request, body)
            except Invalid as invalid:
                raise server.Refused(422, str(invalid), field=invalid.field) from None
            except Unavailable:
                problem = "The database cannot be reached."
                raise server.Refused(503, problem, headers={"retry-after": "1"}) from None

        return answer

    @answering
    def healthz(request, body):
        wall.check()
        return 200, {"status": "ok"}

    @answering
    def newest(request, body):
        return 200, wall.newest()

    @answering
    def add(request, body):
        greeting = parse(request.json_body(body))
        added = wall.add(greeting)
        return (201 if added else 200), {**greeting, "id": str(greeting["id"])}

    class Api(server.Handler):
        served_by = f"api-{node_id}"
        routes = {
            "/healthz": {"GET": healthz},
            "/greetings": {"GET": newest, "POST": add},
        }

    return Api


def main():
    port = int(os.environ.get("PORT", "8000"))
    node_id = os.environ.get("NODE_ID") or "local"
    api = server.Server(("0.0.0.0", port), handler(Wall(Pool()), node_id))
    print(f"api-{node_id} listens on port {port}", flush=True)
    server.run(api)
    print(f"api-{node_id} has answered everything and leaves", flush=True)


if __name__ == "__main__":
    main()
