"""A real Kafka broker for tests: started from the jars in ``.tools/kafka``, stopped by its process id."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
from tests.support.ports import free_ports
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "kafka-broker"
START_SECONDS = 120

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://{host}:{plain},SSL://{host}:{ssl},SASL://{host}:{sasl},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL:SASL_SSL
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=500
group.min.session.timeout.ms=1000
num.network.threads=2
num.io.threads=2
log.cleaner.enable=false
ssl.keystore.type=PKCS12
ssl.keystore.location={folder}/broker.p12
ssl.keystore.password={store_password}
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
  user_{user}="{password}";
listener.name.sasl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl.oauthbearer.sasl.jaas.config=\
  org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="x";
"""


class Broker:
    """One broker with its folder; it keeps its ports over restarts.

    Attributes:
        data: Folder of the partitions' segments.
        server: ``host:port`` without security.
        ssl_server: ``host:port`` with TLS.
        sasl_server: ``host:port`` with TLS and SASL.
        ca_file: Certificate that vouches for the broker.
        user: Who may log in.
        password: With which password.
    """

    user = "collector"
    password = "applause-is-secret"

    def __init__(
        self,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        data: Path | None = None,
        within: Sequence[str] = (),
        preload: Mapping[str, str] | None = None,
        properties: str = "",
    ) -> None:
        """Prepares a broker.

        Args:
            folder: Its settings and what it writes.
            host: Address it listens on.
            data: Where the partitions' segments lie, if not in ``folder``.
            within: Command that runs it, such as ``ip netns exec …``.
            preload: Variables of its environment.
            properties: Further lines of its settings.
        """
        self._folder = folder
        self._host = host
        self._within = within
        self._preload = preload or {}
        self._properties = properties
        self.data = data or folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._plain, self._ssl, self._sasl, self._controller = free_ports(4)
        self.server, self.ssl_server, self.sasl_server = (
            f"{host}:{port}" for port in (self._plain, self._ssl, self._sasl)
        )
        self.ca_file = folder / "ca.pem"
        self._prepare()

    def start(self) -> None:
        """Returns once the broker takes connections; the first start writes its storage."""
        assert self._process is None, "the broker runs already"
        scram = " ".join(
            f"--add-scram {mechanism}=[name={self.user},password={self.password}]"
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
        )
        ends_with_us = [setpriv, "--pdeathsig", "KILL"] if (setpriv := shutil.which("setpriv")) else []
        with self._log_file.open("ab") as output:
            self._process = subprocess.Popen(
                [*self._within, *ends_with_us, SCRIPT, self._folder],
                stdout=output,
                stderr=output,
                env={**os.environ, **self._preload, "KAFKA_FORMAT": scram},
            )
        until(self._is_up, START_SECONDS, every=0.1)

    def kill(self) -> None:
        """Ends the broker as a crash would (SIGKILL)."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ends the broker in order."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Stops the broker's clock (SIGSTOP): it holds its connections and answers nothing."""
        self._running.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets a paused broker go on."""
        self._running.send_signal(signal.SIGCONT)

    def output(self) -> str:
        """Returns the end of what it wrote."""
        return self._log_file.read_text(errors="replace")[-3000:]

    def memory_bytes(self) -> int:
        """Returns the resident memory of the broker."""
        return int(psutil.Process(self._running.pid).memory_info().rss)

    def cpu_seconds(self) -> float:
        """Returns the processor time that the broker has taken."""
        times = psutil.Process(self._running.pid).cpu_times()
        return float(times.user + times.system)

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "the broker does not run"
        return self._process

    @property
    def _log_file(self) -> Path:
        return self._folder / "broker.log"

    def _is_up(self) -> bool:
        assert self._running.poll() is None, self.output()
        with socket.socket() as probe:
            return probe.connect_ex((self._host, self._plain)) == 0

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.wait(300)
        self._process = None

    def _prepare(self) -> None:
        """Makes the certificate with Java's own tool, and the settings."""
        store_password = "only-for-tests"
        keytool, store = shutil.which("keytool"), str(self._folder / "broker.p12")
        assert keytool is not None, "keytool is part of Java; make kafka"
        common = ["-alias", "broker", "-keystore", store, "-storepass", store_password]
        kind = ["-keyalg", "EC", "-groupname", "secp256r1", "-storetype", "PKCS12", "-validity", "30"]
        names = ["-dname", f"CN={self._host}", "-ext", f"san=ip:{self._host}"]
        subprocess.run([keytool, "-genkeypair", *kind, *names, *common], check=True, capture_output=True)
        subprocess.run(
            [keytool, "-exportcert", "-rfc", "-file", str(self.ca_file), *common], check=True, capture_output=True
        )
        (self._folder / "server.properties").write_text(
            PROPERTIES.format(
                folder=self._folder,
                host=self._host,
                data=self.data,
                plain=self._plain,
                ssl=self._ssl,
                sasl=self._sasl,
                controller=self._controller,
                store_password=store_password,
                user=self.user,
                password=self.password,
            )
            + self._properties
        )
