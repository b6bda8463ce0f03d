"""A session of redis-py with its default settings: python3 session.py redis-py single|cluster host:port,... tag

Its lines are those of tests/clients_test.go. It ends when its standard input does."""

import os
import sys
import threading
import time

import redis

_, library, mode, seeds, tag = sys.argv
seeds = [(seed.split(":")[0], int(seed.split(":")[1])) for seed in seeds.split(",")]


def say(line):
    print(line, flush=True)


def check(what, is_, wanted):
    if is_ != wanted:
        raise AssertionError(f"{what}: {is_!r}, not {wanted!r}")


def key(name):
    return f"{{{tag}}}{library}-{mode}-{name}"


def connect():
    if mode == "single":
        return redis.Redis(*seeds[0])
    return redis.RedisCluster(startup_nodes=[redis.cluster.ClusterNode(*seed) for seed in seeds])


def use_all(client):
    client.delete(key("a"))
    client.delete(key("n"))
    check("set", client.set(key("a"), "é"), True)
    check("get", client.get(key("a")), "é".encode())
    check("get of nothing", client.get(key("nothing")), None)
    pipe = client.pipeline(transaction=False) if mode == "single" else client.pipeline()
    for _ in range(3):
        pipe.incr(key("n"))
    check("pipeline", pipe.execute(), [1, 2, 3])
    check("mget", client.mget(key("a"), key("nothing"), key("n")), ["é".encode(), None, b"3"])
    check("del", client.delete(key("a")), 1)
    if mode == "single":
        check("scan", list(client.scan_iter(match=key("*"))), [key("n").encode()])
        check("info", client.info()["redis_mode"], "cluster")


def watch_input():
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=watch_input, daemon=True).start()
try:
    client = connect()
    use_all(client)
    n = 0
    while True:
        n += 1
        try:
            client.set(key(n), n)
            check("get", client.get(key(n)), str(n).encode())
            say(f"{n} ok")
        except (redis.RedisError, redis.exceptions.RedisClusterException) as e:
            say(f"{n} failed {type(e).__name__} {e}".replace("\n", " "))
            time.sleep(0.02)
except Exception as e:
    say(f"wrong {type(e).__name__} {e}".replace("\n", " "))
    os._exit(1)
