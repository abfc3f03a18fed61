from pilothouse.events import AgentId
from pilothouse.wire.assistants import assistant_id


def test_an_assistant_id_is_the_one_that_langgraphs_server_gives_the_graph() -> None:
    assert assistant_id(AgentId("agent")) == "fe096781-5601-53d2-b2f6-0d3403f7e9ca"
