"""Experts that live in several shards: answers go on with the same tokens while a shard is killed or stopped."""

import concurrent.futures
import signal

import grpc
import pytest
import yaml

from support import conclave_process, router_client

STREAMS = 6
TOKENS = 40
SHARDS = {"experts-low": [0, 1], "experts-high": [2, 3], "experts-all": [0, 1, 2, 3]}


@pytest.fixture(scope="module")
def cluster(program, model_path, tmp_path_factory):
    del program
    home = conclave_process.Home(model_path)
    processes = [{"name": "router", "services": ["router", "tokenizer", "decoder"], "listen": "127.0.0.1:7400"}]
    for name, slices in SHARDS.items():
        processes.append({"name": name, "services": ["experts"], "experts": {"slices": slices},
                          "listen": f"unix:${{CONCLAVE_HOME}}/run/{name}.sock"})
    config = tmp_path_factory.mktemp("replicas") / "cluster.yaml"
    config.write_text(yaml.safe_dump({"processes": processes}))
    made = conclave_process.Cluster(home, config)
    try:
        yield made.start_all()
    finally:
        made.end()
        home.remove()


def answers_while(stubs, cluster, act) -> list[list[int]]:
    """Answers that are under way together; `act` is called when each has begun."""
    with grpc.insecure_channel(cluster.router().address) as channel:
        calls = [router_client.ask(stubs, channel, f"Tell me story number {i}.",
                                   {"temperature": 0.8, "seed": i, "max_tokens": TOKENS, "ignore_eos": True})
                 for i in range(STREAMS)]
        begun = [router_client.tokens_of([next(call)]) for call in calls]
        act()
        with concurrent.futures.ThreadPoolExecutor(STREAMS) as pool:
            rests = list(pool.map(router_client.tokens_of, calls))
        return [first + rest for first, rest in zip(begun, rests, strict=True)]


@pytest.mark.parametrize("name", SHARDS)
def test_answers_go_on_while_a_shard_is_killed_and_after_it_is_back(stubs, cluster, name):
    whole = answers_while(stubs, cluster, lambda: None)
    assert all(len(tokens) == TOKENS for tokens in whole)
    assert answers_while(stubs, cluster, cluster.servers[name].kill) == whole
    assert answers_while(stubs, cluster, lambda: None) == whole
    cluster.start(name).wait_ready()
    assert answers_while(stubs, cluster, lambda: None) == whole


def test_answers_go_on_while_a_shard_is_stopped(stubs, cluster):
    whole = answers_while(stubs, cluster, lambda: None)
    process = cluster.servers["experts-all"].process
    try:
        assert answers_while(stubs, cluster, lambda: process.send_signal(signal.SIGSTOP)) == whole
    finally:
        process.send_signal(signal.SIGCONT)
    assert answers_while(stubs, cluster, lambda: None) == whole
