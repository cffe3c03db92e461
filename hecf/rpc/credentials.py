"""Mutual TLS from a kit's certificate, private key and authority (control C01)."""

from __future__ import annotations

from dataclasses import dataclass

import grpc


@dataclass(frozen=True, repr=False)
class TransportIdentity:
    """PEM texts that a party authenticates with and checks others by."""

    certificate: bytes
    private_key: bytes
    authority: bytes

    def server(self) -> grpc.ServerCredentials:
        """Credentials of a server that refuses clients without a certificate of the authority."""
        return grpc.ssl_server_credentials(
            [(self.private_key, self.certificate)],
            root_certificates=self.authority,
            require_client_auth=True,
        )

    def client(self) -> grpc.ChannelCredentials:
        """Credentials of a client that accepts servers of the authority only."""
        return grpc.ssl_channel_credentials(
            root_certificates=self.authority,
            private_key=self.private_key,
            certificate_chain=self.certificate,
        )
