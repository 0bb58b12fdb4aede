"""What the API says of itself."""


from openapi_spec_validator import validate


def test_openapi_is_valid(sqlite_api):
    validate(sqlite_api.client.get("/openapi.json").json())
