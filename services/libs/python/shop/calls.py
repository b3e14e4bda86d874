"""Questions to other services of the shop, with a limit on how long an answer may take."""

import json
import urllib.error
import urllib.parse
import urllib.request

from shop.errors import Unavailable

# The neighbours are next door: no proxy of the machine is between us.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Neighbour:
    """A service that is asked over HTTP and answers JSON. Without a URL it is simply away."""

    def __init__(self, name, url, timeout):
        self._name, self._url, self._timeout = name, url, timeout

    def get(self, path, **parameters):
        """The answer; Unavailable when there is none in time, twice."""
        if not self._url:
            raise Unavailable(f"{self._name} is not here")
        query = urllib.parse.urlencode(parameters)
        address = f"{self._url}{path}?{query}" if query else f"{self._url}{path}"
        for last in (False, True):  # reading is safe to repeat
            try:
                with _OPENER.open(address, timeout=self._timeout) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                raise Unavailable(f"{self._name} answered {error.code}") from error
            except (OSError, ValueError) as error:
                if last or isinstance(error, TimeoutError):
                    raise Unavailable(f"{self._name} does not answer") from error
