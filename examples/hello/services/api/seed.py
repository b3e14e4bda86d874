"""Puts the first greetings on an empty wall."""

from uuid import uuid4

from database import connect

# author, message, tint, minutes ago
GREETINGS = [
    ("Ada", "First! Well, somebody had to be.", "sun", 3),
    ("Mei", "Three nodes, one graph, zero drama. I could get used to this.", "mint", 14),
    ("Jonas", "I changed one line of the API and only the API restarted. "
              "My coffee is still too hot to drink.", "sky", 41),
    ("Priya", "Tried to break it with <b>bold</b> & “quotes”. "
              "It shows exactly what I typed.", "lilac", 75),
    ("Lucía", "¡Hola desde Valparaíso! The sea says hello, too.", "peach", 180),
    ("Kofi", "Works without a line of JavaScript in the browser.\n"
             "I had forgotten that was allowed.", "rose", 340),
    ("Tomasz", "Pushed, deployed, reverted, deployed again.\nNobody noticed. Perfect.", "mint", 900),
    ("Noor", "Reading this on a train with one bar of signal. It loaded.", "sun", 1600),
    ("Elif", "The badge below knows which version served me. So honest!", "sky", 2950),
    ("Sam", "hello, world", "lilac", 4400),
]


def seed(db):
    """Returns how many greetings it added: none when there are any."""
    db.run("begin")
    db.run("lock table greetings in share row exclusive mode")
    [[taken]] = db.run("select exists (select 1 from greetings)")
    rows = [] if taken else GREETINGS
    for author, message, tint, minutes in rows:
        db.run(
            "insert into greetings (id, author, message, tint, created_at) "
            "values (:id, :author, :message, :tint, now() - make_interval(mins => :minutes))",
            id=uuid4(), author=author, message=message, tint=tint, minutes=minutes,
        )
    db.run("commit")
    return len(rows)


if __name__ == "__main__":
    with connect(timeout=None) as db:
        print(f"added {seed(db)} greetings", flush=True)
