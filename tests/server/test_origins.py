from collections.abc import Callable

from tests.server.serving import Served

Run = Callable[..., None]


def test_a_page_from_elsewhere_may_change_nothing(run: Run) -> None:
    async def scenario(served: Served) -> None:
        foreign = {"origin": "https://evil.example"}

        refused = await served.http.post("/threads", json={}, headers=foreign)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden_origin")
        preflight = {**foreign, "access-control-request-method": "POST"}
        assert (await served.http.options("/threads", headers=preflight)).status_code == 403
        assert (await served.http.post("/threads", json={}, headers={"origin": "null"})).status_code == 403
        read = await served.http.get("/ok", headers=foreign)
        assert "access-control-allow-origin" not in read.headers

    run(scenario)


def test_a_page_of_this_machine_may_call_and_read(run: Run) -> None:
    async def scenario(served: Served) -> None:
        page = {"origin": "http://localhost:3000"}
        preflight = {
            **page,
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type",
        }
        asked = await served.http.options("/threads", headers=preflight)
        assert (asked.status_code, asked.headers["access-control-allow-headers"]) == (204, "content-type")

        reply = await served.http.post("/threads", json={}, headers=page)
        assert reply.status_code == 200
        assert reply.headers["access-control-allow-origin"] == "http://localhost:3000"
        assert "content-location" in reply.headers["access-control-expose-headers"]

    run(scenario)


def test_our_own_page_needs_no_leave(run: Run) -> None:
    async def scenario(served: Served) -> None:
        reply = await served.http.post("/threads", json={}, headers={"origin": served.url})

        assert reply.status_code == 200
        assert "access-control-allow-origin" not in reply.headers

    run(scenario)


def test_a_foreign_name_that_points_here_is_not_answered(run: Run) -> None:
    async def scenario(served: Served) -> None:
        for host in ("evil.example", "evil.example:2024", "[::2]", "[bad"):
            refused = await served.http.get("/ok", headers={"host": host})
            assert (refused.status_code, refused.json()["code"]) == (403, "forbidden_host")
        for host in ("localhost:2024", "127.0.0.1", "[::1]:80"):
            assert (await served.http.get("/ok", headers={"host": host})).status_code == 200

    run(scenario)
