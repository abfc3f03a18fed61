"""The page, the description of the API, and what platforms probe."""

import re
from collections.abc import Callable

from tests.server.serving import Served

Run = Callable[..., None]


def test_health_is_told_in_the_forms_that_platforms_ask_for(run: Run) -> None:
    async def scenario(served: Served) -> None:
        for path in ("/ok", "/livez", "/readyz"):
            assert (await served.http.get(path)).status_code == 200
        info = (await served.http.get("/info")).json()
        assert info["flags"] == {"assistants": True, "crons": True, "langsmith": False}
        assert info["version"]

    run(scenario)


def test_the_page_comes_with_a_policy_that_keeps_it_to_itself(run: Run) -> None:
    async def scenario(served: Served) -> None:
        page = await served.http.get("/")
        assert page.headers["content-type"].startswith("text/html")
        policy = page.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy

        again = await served.http.get("/", headers={"if-none-match": page.headers["etag"]})
        assert (again.status_code, again.headers["cache-control"]) == (304, "no-cache")
        for path in re.findall(r'(?:src|href)="([^"]+)"', page.text):
            assert (await served.http.get(f"/{path}")).status_code == 200

    run(scenario)


def test_the_description_names_every_route_with_its_types(run: Run) -> None:
    async def scenario(served: Served) -> None:
        described = (await served.http.get("/openapi.json")).json()
        paths, schemas = described["paths"], described["components"]["schemas"]

        stream = paths["/threads/{thread_id}/runs/stream"]["post"]
        assert stream["summary"] == "Start a run on a thread and stream its events"
        assert stream["requestBody"]["content"]["application/json"]["schema"] == {
            "$ref": "#/components/schemas/RunCreate"
        }
        assert schemas["RunCreate"]["required"] == ["assistant_id"]
        named = set(re.findall(r'"#/components/schemas/(\w+)"', str(described).replace("'", '"')))
        assert named <= set(schemas)
        ids = [one["operationId"] for path in paths.values() for one in path.values()]
        assert len(ids) == len(set(ids))
        assert all(one["summary"] for path in paths.values() for one in path.values())

    run(scenario)


def test_the_description_can_be_read_with_nothing_from_elsewhere(run: Run) -> None:
    async def scenario(served: Served) -> None:
        docs = await served.http.get("/docs")
        assert docs.status_code == 200
        for path in re.findall(r'(?:src|href)="([^"]+)"', docs.text):
            assert "//" not in path
            assert (await served.http.get(f"/{path}")).status_code == 200

    run(scenario)
