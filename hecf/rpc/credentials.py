"""Mutual TLS from a kit's certificate, private key and authority (control C01)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import grpc


@dataclass(frozen=True, repr=False)
class TransportIdentity:
    """PEM texts that a party authenticates with and checks others by."""

    certificate: bytes
    private_key: bytes
    authority: bytes

    def server(
        self, current: Callable[[], TransportIdentity] | None = None
    ) -> grpc.ServerCredentials:
        """Credentials of a server that refuses clients without a certificate of the authority.

        Parameters
        ----------
        current : callable, optional
            Asked at every handshake for the identity to show from now on, so that a renewed
            certificate counts without a restart.
        """
        shown = self

        def changed() -> grpc.ServerCertificateConfiguration:
            nonlocal shown
            latest = current() if current is not None else self
            if latest == shown:
                # gRPC reads this as: what is shown already stays; its type does not say so.
                return cast(grpc.ServerCertificateConfiguration, None)
            shown = latest
            return latest.server_configuration()

        return grpc.dynamic_ssl_server_credentials(
            self.server_configuration(), changed, require_client_authentication=True
        )

    def server_configuration(self) -> grpc.ServerCertificateConfiguration:
        """Return what a server shows, and whom it believes."""
        return grpc.ssl_server_certificate_configuration(
            [(self.private_key, self.certificate)], root_certificates=self.authority
        )

    def client(self) -> grpc.ChannelCredentials:
        """Credentials of a client that accepts servers of the authority only."""
        return grpc.ssl_channel_credentials(
            root_certificates=self.authority,
            private_key=self.private_key,
            certificate_chain=self.certificate,
        )
