from collections.abc import Callable

from tests.server.serving import Served

from pilothouse.settings import AuthSettings

Run = Callable[..., None]
AUTH = AuthSettings("https://issuer.example", "us", "https://issuer.example/keys")


def test_with_authentication_only_probes_and_files_are_open(run: Run) -> None:
    async def scenario(served: Served) -> None:
        for method, path in (
            ("POST", "/threads"),
            ("GET", "/info"),
            ("GET", "/store/items"),
            ("POST", "/runs/stream"),
        ):
            refused = await served.http.request(method, path, content=b"{oops")
            assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
            assert refused.headers["www-authenticate"] == "Bearer"
        for path in ("/ok", "/livez", "/readyz", "/", "/docs", "/openapi.json"):
            assert (await served.http.get(path)).status_code == 200

    run(scenario, changes={"auth": AUTH})


def test_with_authentication_the_server_answers_to_any_name(run: Run) -> None:
    async def scenario(served: Served) -> None:
        host = {"host": "pilothouse-abc-ew.a.run.app"}

        assert (await served.http.get("/livez", headers=host)).status_code == 200

    run(scenario, changes={"auth": AUTH})
