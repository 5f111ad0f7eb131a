"""What carries messages over Kombu, on every kind of broker that is supported."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from kombu import Connection, Queue

from flask_braintrust_evals.contrib.celery import sending
from flask_braintrust_evals.contrib.celery.connections import ConnectionFailedError, failures
from flask_braintrust_evals.contrib.celery.listening import LARGE_TOGETHER
from flask_braintrust_evals.contrib.celery.transport import CeleryTransport, runs_in_place
from flask_braintrust_evals.distribution.messaging.messages import Message, MessageTooLargeError
from flask_braintrust_evals.distribution.messaging.transport import Sender, Transport
from flask_braintrust_evals.errors import ConfigurationError

from .brokers import Broker, RabbitBroker, RedisBroker, why_absent
from .conftest import StartWorker
from .proxy import Proxy
from .support import (
    SOON,
    Listening,
    connected,
    listening,
    message,
    new_app,
    new_queue,
)

SENTINEL = {"master_name": "main", "sentinel_kwargs": {"password": "pa55word"}}


def take_orders(app: Celery, queue: str) -> list[Any]:
    """The messages in the queue of orders, as a worker takes them from it."""
    with app.connection_for_read() as connection:
        bound = app.amqp.queues[queue](connection.default_channel)
        taken = []
        while (found := bound.get(no_ack=True)) is not None:
            taken.append(found)
        return taken


@pytest.fixture(params=["memory", "redis", "rabbitmq"])
def app(request: pytest.FixtureRequest) -> Celery:
    """A Celery application with each kind of broker."""
    if request.param == "memory":
        return new_app("memory://")
    return new_app(request.getfixturevalue(f"{request.param}_broker").url)


@pytest.fixture
def transport(app: Celery) -> CeleryTransport:
    return CeleryTransport(app, new_queue())


def test_it_has_what_the_interface_asks_for(transport: CeleryTransport) -> None:
    typed: Transport = transport
    with connected(transport) as connection:
        sender: Sender = connection
        assert sender is connection
    assert typed.advice.endswith(f"worker -Q {transport.queue} --prefetch-multiplier 1")


def test_an_order_is_a_task_message_of_json_that_shows_nothing(
    app: Celery, transport: CeleryTransport
) -> None:
    app.conf.task_serializer = "pickle"
    sent = [message("first"), message("second")]
    with connected(transport) as sender:
        for order in sent:
            sender.send_order(order)
    first, second = take_orders(app, transport.queue)
    assert [first.payload[0], second.payload[0]] == [[*order] for order in sent]
    assert first.content_type == "application/json"
    assert first.headers["task"] == "braintrust_evals.case"
    assert first.headers["ignore_result"] is True
    assert first.headers["id"] != second.headers["id"]
    assert first.properties["delivery_mode"] == 1
    assert "first" not in repr((first.headers, first.properties))
    # What Celery logs of a message that it does not know.
    assert not first.body[:1024].strip()


def test_reports_arrive_in_their_order(transport: CeleryTransport) -> None:
    name = f"{transport.queue}.reply.{uuid4().hex}"
    sent = [message(f"ü {number}") for number in range(100)]
    with listening(transport.listen_for_reports, name) as owner:
        with connected(transport) as sender:
            for report in sent:
                sender.send_report(name, report)
        assert owner.wait_for(len(sent)) == sent


def test_a_report_to_an_owner_that_is_gone_is_no_error(transport: CeleryTransport) -> None:
    with connected(transport) as sender:
        for _ in range(2):
            sender.send_report(f"{transport.queue}.reply.{uuid4().hex}", message("unheard"))


@pytest.mark.slow
def test_each_listener_hears_each_notice(transport: CeleryTransport) -> None:
    sent = [message("one"), message("two")]
    listen = transport.listen_for_notices
    with listening(listen) as first, listening(listen) as second, connected(transport) as sender:
        for notice in sent:
            sender.send_notice(notice)
        assert first.wait_for(2) == second.wait_for(2) == sent


@pytest.mark.slow
def test_one_of_several_listeners_may_leave(transport: CeleryTransport) -> None:
    listen = transport.listen_for_notices
    with listening(listen) as stays, connected(transport) as sender:
        with listening(listen):
            pass
        sender.send_notice(message("later"))
        assert len(stays.wait_for(1)) == 1


def test_what_is_no_message_is_passed_over(
    app: Celery, transport: CeleryTransport, caplog: pytest.LogCaptureFixture
) -> None:
    name = f"{transport.queue}.reply.{uuid4().hex}"
    with listening(transport.listen_for_reports, name) as owner:
        with app.connection_for_write() as connection:
            producer = connection.Producer()
            for body in (["one text"], {"text": "secret"}, [1, 2], ["a", "b", "c"]):
                producer.publish(body, routing_key=name, serializer="json")
            producer.publish(["a", "b"], routing_key=name, serializer="yaml")
            producer.publish(["a", "b"], routing_key=name, serializer="pickle")
            producer.publish(
                b"{", routing_key=name, content_type="application/json", content_encoding="utf-8"
            )
        with connected(transport) as sender:
            sender.send_report(name, message("good"))
        assert [found.text for found in owner.wait_for(1)] == ['j"good"']
    assert "secret" not in caplog.text
    assert caplog.text.count("cannot be read") == 7


def test_a_large_message_arrives(transport: CeleryTransport) -> None:
    name = f"{transport.queue}.reply.{uuid4().hex}"
    large = Message("j" + "x" * 5_000_000, "s")
    with listening(transport.listen_for_reports, name) as owner, connected(transport) as sender:
        sender.send_report(name, large)
        assert owner.wait_for(1) == [large]


def test_a_message_above_the_limit_of_rabbitmq_is_refused_as_too_large(
    rabbitmq_broker: RabbitBroker,
) -> None:
    transport = CeleryTransport(new_app(rabbitmq_broker.url), new_queue())
    with connected(transport) as sender:
        with pytest.raises(MessageTooLargeError, match="refuses a message of 17,001,"):
            sender.send_order(Message("j" + "x" * 17_000_000, "s"))


def test_a_message_that_redis_has_no_memory_for_is_refused_as_too_large(
    redis_broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "REFUSED_PAUSES", (0.01,))
    app = new_app(redis_broker.url)
    transport = CeleryTransport(app, new_queue())
    name = f"{transport.queue}.reply.{uuid4().hex}"
    large = message("x" * 6_000_000)
    with connected(transport) as sender, app.connection_for_read() as connection:
        client = connection.default_channel.client
        sender.send_report(name, message("arrives"))
        used = client.info("memory")["used_memory"]
        try:
            client.config_set("maxmemory", used + 3_000_000)
            with pytest.raises(MessageTooLargeError, match="of 6,000,.*: command not allowed"):
                sender.send_report(name, large)
            sender.send_report(name, message("arrives"))
            client.config_set("maxmemory", 1)  # as if others had filled it
            for each in (large, message("small")):
                with pytest.raises(ConnectionFailedError, match="command not allowed"):
                    sender.send_report(name, each)
        finally:
            client.config_set("maxmemory", 0)
        assert client.llen(name) == 2


def test_an_order_is_not_lost_in_silence_if_its_queue_was_deleted_in_rabbitmq(
    rabbitmq_broker: RabbitBroker,
) -> None:
    transport = CeleryTransport(new_app(rabbitmq_broker.url), new_queue())
    with connected(transport) as sender:
        sender.send_order(message("arrives"))
        with Connection(rabbitmq_broker.url) as connection:
            connection.default_channel.queue_delete(transport.queue)
        with pytest.raises(ConnectionFailedError, match="NO_ROUTE"):
            sender.send_order(message("has no queue"))
    with connected(transport) as sender:
        sender.send_order(message("arrives"))


def test_reports_that_wait_in_redis_are_received_in_few_round_trips(
    redis_broker: RedisBroker,
) -> None:
    app = new_app(redis_broker.url)
    app.conf.broker_transport_options = {"global_keyprefix": "prefix-"}
    transport = CeleryTransport(app, new_queue())
    name = f"{transport.queue}.reply.{uuid4().hex}"
    sent = [message(f"{number}") for number in range(100)]
    with connected(transport) as sender, app.connection_for_read() as connection:
        for report in sent:
            sender.send_report(name, report)
        client = connection.default_channel.client
        client.config_resetstat()
        with listening(transport.listen_for_reports, name) as owner:
            assert owner.wait_for(len(sent)) == sent
        assert client.info("commandstats")["cmdstat_brpop"]["calls"] < 20


def test_large_reports_that_wait_in_redis_are_not_all_in_memory_at_a_time(
    redis_broker: RedisBroker,
) -> None:
    app = new_app(redis_broker.url)
    transport = CeleryTransport(app, new_queue())
    name = f"{transport.queue}.reply.{uuid4().hex}"
    sent = [message(f"{number}" * LARGE_TOGETHER) for number in range(10)]
    with connected(transport) as sender, app.connection_for_read() as connection:
        for report in sent:
            sender.send_report(name, report)
        client = connection.default_channel.client
        client.config_resetstat()
        with listening(transport.listen_for_reports, name) as owner:
            assert owner.wait_for(len(sent)) == sent
        assert client.info("commandstats")["cmdstat_brpop"]["calls"] >= 5


def test_redis_drops_the_reports_of_an_owner_that_is_gone(redis_broker: RedisBroker) -> None:
    app = new_app(redis_broker.url)
    transport = CeleryTransport(app, new_queue())
    name = f"{transport.queue}.reply.{uuid4().hex}"
    with connected(transport) as sender:
        sender.send_report(name, message("unheard"))
    with app.connection_for_read() as connection:
        client = connection.default_channel.client
        assert 290 < client.ttl(name) <= 300
        keys = {key.decode() for key in client.keys(f"*{transport.queue}*")}
    # Beside the list, only what there is once for each queue of orders.
    assert keys - {name} <= {
        f"_kombu.binding{kind}.{transport.queue}" for kind in ("", "_permanent")
    }


def test_rabbitmq_removes_the_queue_of_an_owner_that_is_gone(
    rabbitmq_broker: RabbitBroker,
) -> None:
    transport = CeleryTransport(new_app(rabbitmq_broker.url), new_queue())
    name = f"{transport.queue}.reply.{uuid4().hex}"
    with connected(transport) as sender:
        sender.send_report(name, message("unheard"))
    with Connection(rabbitmq_broker.url) as connection:
        with pytest.raises(Exception, match="inequivalent arg 'x-expires'.*'300000'"):
            Queue(name, durable=True)(connection.default_channel).queue_declare()


def test_listeners_to_notices_leave_nothing_in_redis(redis_broker: RedisBroker) -> None:
    app = new_app(redis_broker.url)
    transport = CeleryTransport(app, new_queue())
    with listening(transport.listen_for_notices), listening(transport.listen_for_notices):
        with app.connection_for_read() as connection:
            key = f"_kombu.binding.{transport.queue}.notices"
            # One for all of them, however many are killed.
            assert connection.default_channel.client.scard(key) == 1


def refused_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["redis", "amqp", "sentinel"])
@pytest.mark.parametrize("answers", [False, True], ids=["refuses", "is silent"])
def test_a_broker_that_cannot_be_reached_fails_in_time_and_shows_no_password(
    scheme: str, answers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_braintrust_evals.contrib.celery.listening.ANSWER_SECONDS", 0.5)
    server = socket.create_server(("127.0.0.1", 0))
    where = f"127.0.0.1:{server.getsockname()[1]}"
    if not answers:
        server.close()
    app = new_app(f"{scheme}://user:pa55word@{where}/0")
    if scheme == "sentinel":
        app.conf.broker_transport_options = SENTINEL
    transport = CeleryTransport(app, new_queue())
    assert where in transport.address
    assert "pa55word" not in transport.address

    for call in (
        lambda: transport.connect(0.5),
        lambda: transport.has_workers(0.5),
        lambda: transport.listen_for_reports("reply", print, lambda: None, lambda: False),
        lambda: transport.listen_for_notices(print, lambda: None, lambda: False),
    ):
        began = time.monotonic()
        with pytest.raises(ConnectionFailedError) as failure:
            call()
        assert time.monotonic() - began < 3
        assert str(failure.value)
        assert "pa55word" not in f"{failure.value!r}{failure.value.__cause__!r}"
    server.close()


def test_no_password_that_a_client_quotes_is_shown() -> None:
    app = new_app("sentinel://:f1rst@127.0.0.1:1/0;sentinel://:s3cond@127.0.0.1:2/0")
    app.conf.broker_transport_options = SENTINEL
    with (
        pytest.raises(ConnectionFailedError) as failure,
        failures(app.connection_for_write()),
    ):
        raise OSError("no answer with f1rst, s3cond or pa55word")
    assert str(failure.value) == "no answer with **, ** or **"


def test_several_addresses_are_named_and_tried(redis_broker: RedisBroker) -> None:
    first = refused_url()
    transport = CeleryTransport(
        new_app(f"redis://:pa55word@{first}/0;{redis_broker.url}"), new_queue()
    )
    assert transport.address == f"redis://:**@{first}/0, {redis_broker.url}"
    with connected(transport) as sender:
        sender.send_order(message("arrives"))


def test_a_password_that_rabbitmq_refuses_is_not_shown(rabbitmq_broker: RabbitBroker) -> None:
    url = f"amqp://guest:pa55word@127.0.0.1:{rabbitmq_broker.port}//"
    with pytest.raises(ConnectionFailedError, match="ACCESS_REFUSED") as failure:
        CeleryTransport(new_app(url), new_queue()).connect(SOON)
    assert "pa55word" not in str(failure.value)


def reply_to(transport: CeleryTransport) -> str:
    return f"{transport.queue}.reply.{'0' * 32}"


def survives_a_restart(
    transport: CeleryTransport, kill: Callable[[], None], start: Callable[[], None]
) -> None:
    """A broker is killed while both sides use it; both fail, and go on with the next."""
    name = reply_to(transport)
    listeners = [
        Listening(transport.listen_for_reports, name),
        Listening(transport.listen_for_notices),
    ]
    for listener in listeners:
        listener.wait_until_ready()
    sender = transport.connect(SOON)
    sender.send_report(name, message("before"))
    listeners[0].wait_for(1)
    failures: list[Exception] = []

    def send() -> None:
        try:
            while True:
                sender.send_order(message("in the middle"))
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    kill()
    for each in (thread, *(listener.thread for listener in listeners)):
        each.join(SOON)
        assert not each.is_alive()
    failures += [listener.failure for listener in listeners if listener.failure]
    assert [type(failure) for failure in failures] == [ConnectionFailedError] * 3
    with pytest.raises(ConnectionFailedError):
        sender.send_notice(message("to nobody"))
    sender.close()
    with pytest.raises(ConnectionFailedError):
        transport.connect(1)

    start()
    with (
        listening(transport.listen_for_reports, name) as owner,
        listening(transport.listen_for_notices) as worker,
        connected(transport) as sender,
    ):
        sender.send_report(name, message("after"))
        sender.send_notice(message("after"))
        sender.send_order(message("after"))
        assert [found.text for found in owner.wait_for(1)] == ['j"after"']
        assert len(worker.wait_for(1)) == 1


@pytest.mark.slow
def test_redis_may_be_killed_and_come_back_empty() -> None:
    if reason := why_absent("redis"):
        pytest.skip(reason)
    broker = RedisBroker()
    try:
        transport = CeleryTransport(new_app(broker.url), new_queue())
        survives_a_restart(transport, broker.kill, broker.start)
    finally:
        broker.stop()


@pytest.mark.slow
def test_rabbitmq_may_be_cut_off_and_come_back_empty(rabbitmq_broker: RabbitBroker) -> None:
    proxy = Proxy(rabbitmq_broker.port)
    url = rabbitmq_broker.url.replace(f":{rabbitmq_broker.port}", f":{proxy.port}")
    transport = CeleryTransport(new_app(url), new_queue())

    def start() -> None:
        with Connection(rabbitmq_broker.url) as connection:
            channel = connection.default_channel
            for queue in (transport.queue, reply_to(transport)):
                channel.queue_delete(queue)
            channel.exchange_delete(transport.queue)
            channel.exchange_delete(f"{transport.queue}.notices")
        proxy.listen()

    survives_a_restart(transport, proxy.close, start)
    proxy.close()


def test_reports_that_rabbitmq_has_no_acknowledgement_of_are_heard_once(
    rabbitmq_broker: RabbitBroker,
) -> None:
    transport = CeleryTransport(new_app(rabbitmq_broker.url), new_queue())
    name = f"{transport.queue}.reply.{uuid4().hex}"
    received: list[str] = []

    class Lost(BaseException):
        """Ends a listener without its acknowledgements, as the loss of a connection does."""

    def receive(report: Message) -> None:
        received.append(report.text)
        if len(received) == 5:
            raise Lost

    with connected(transport) as sender:
        for number in range(10):
            sender.send_report(name, message(str(number)))
    with pytest.raises(Lost):
        transport.listen_for_reports(name, receive, lambda: None, lambda: False)
    assert len(received) == 5
    deadline = time.monotonic() + SOON
    transport.listen_for_reports(
        name, receive, lambda: None, lambda: len(received) >= 10 or time.monotonic() > deadline
    )
    assert received == [f'j"{number}"' for number in range(10)]


def test_workers_that_take_orders_are_found(broker: Broker, start_worker: StartWorker) -> None:
    transport = CeleryTransport(new_app(broker.url), new_queue())
    assert not transport.has_workers(0.5)
    environ = {"TEST_BROKER": broker.url}
    start_worker("tests.celery.bare_app", f"{transport.queue}.other", "-P", "solo", environ=environ)
    assert not transport.has_workers(1)
    start_worker("tests.celery.bare_app", transport.queue, "-P", "solo", environ=environ)
    began = time.monotonic()
    assert transport.has_workers(SOON)
    # The first answer is enough.
    assert time.monotonic() - began < SOON / 2


def test_asking_for_workers_leaves_nothing_in_redis(redis_broker: RedisBroker) -> None:
    transport = CeleryTransport(new_app(redis_broker.url), new_queue())
    with Connection(redis_broker.url) as connection:
        client = connection.default_channel.client
        before = {*client.keys("*reply*")}
        transport.has_workers(0.2)
        assert {*client.keys("*reply*")} <= before


def test_the_queue_is_declared_in_rabbitmq_as_workers_declare_it(
    rabbitmq_broker: RabbitBroker,
) -> None:
    app = new_app(rabbitmq_broker.url, task_queue_max_priority=5)
    transport = CeleryTransport(app, new_queue())
    with app.connection_for_write() as connection:
        app.amqp.queues[transport.queue](connection.default_channel).declare()
    with connected(transport) as sender:
        sender.send_order(message("arrives"))


def test_a_queue_that_the_application_does_not_make_is_an_error() -> None:
    app = new_app("memory://", task_create_missing_queues=False)
    with pytest.raises(ConfigurationError, match="no queue 'evals'.*add it to task_queues"):
        CeleryTransport(app, "evals")
    app = new_app("memory://", task_create_missing_queues=False, task_queues=[Queue("evals")])
    assert CeleryTransport(app, "evals").queue == "evals"


def test_workers_that_would_refuse_json_are_an_error() -> None:
    app = new_app("memory://", accept_content=["pickle"])
    with pytest.raises(ConfigurationError, match="accept_content.*'json'"):
        CeleryTransport(app, "evals")


@pytest.mark.parametrize("eager", [False, True])
def test_an_application_that_runs_tasks_in_place_is_known(eager: bool) -> None:
    assert runs_in_place(new_app("memory://", task_always_eager=eager)) is eager
