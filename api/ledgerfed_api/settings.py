"""What the API is started with: keywords, or the environment as LEDGERFED_WORKSPACE and so on."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_FEDERATION = re.compile(r"(?P<chain>[1-9][0-9]{0,15}):(?P<contract>0x[0-9a-f]{40})")


class Settings(BaseSettings):
    """The store to serve, and optionally the one federation of it to serve."""

    model_config = SettingsConfigDict(env_prefix="LEDGERFED_", frozen=True)

    workspace: Path = Field(description="Directory of blobs, bundles and, by default, the database")
    database_url: str | None = Field(
        default=None, description="sqlite:///path or postgresql://user@host/name"
    )
    federation: str | None = Field(
        default=None, description="Serve only this one: chain id, a colon, the contract's address"
    )

    @field_validator("federation")
    @classmethod
    def _require_federation(cls, value: str | None) -> str | None:
        if value is not None and not _FEDERATION.fullmatch(value.lower()):
            raise ValueError(f"write chain id, a colon and the contract's address, got {value!r}")
        return value and value.lower()
