"""The looks of the hosted pages: CSS and a logo, for one app client or for all."""

import struct
import urllib.parse
import zlib

from support import refused

CSS = ".submitButton-customizable { background-color: #7a1f3d; }\n.submitButton-customizable:hover { background-color: #5c142c; }\n"


def png(width: int, height: int, colour: bytes) -> bytes:
    """A picture of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + colour * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_what_is_set_is_read_back_and_the_logo_can_be_fetched(idp, server, make_pool):
    pool = make_pool()
    app = pool.app()
    assert idp.get_ui_customization(UserPoolId=pool.id)["UICustomization"] == {}

    made = idp.set_ui_customization(UserPoolId=pool.id, ClientId="ALL", CSS=CSS, ImageFile=png(700, 350, b"\x7a\x1f\x3d"))
    made = made["UICustomization"]
    assert (made["UserPoolId"], made["ClientId"], made["CSS"]) == (pool.id, "ALL", CSS)
    assert made["CSSVersion"] and made["CreationDate"] == made["LastModifiedDate"]
    assert idp.get_ui_customization(UserPoolId=pool.id, ClientId=app.id)["UICustomization"] == made

    address = urllib.parse.urlsplit(made["ImageUrl"])
    response, picture = server.request("GET", address.path)
    assert (response.status, response.headers["Content-Type"]) == (200, "image/png")
    assert picture.startswith(b"\x89PNG")

    own = idp.set_ui_customization(UserPoolId=pool.id, ClientId=app.id, CSS=".label-customizable { color: #111; }")
    own = own["UICustomization"]
    assert own["ClientId"] == app.id and "ImageUrl" not in own
    assert idp.get_ui_customization(UserPoolId=pool.id, ClientId=app.id)["UICustomization"] == own
    idp.set_ui_customization(UserPoolId=pool.id, ClientId=app.id)
    assert idp.get_ui_customization(UserPoolId=pool.id, ClientId=app.id)["UICustomization"] == made
    idp.set_ui_customization(UserPoolId=pool.id)
    assert idp.get_ui_customization(UserPoolId=pool.id, ClientId=app.id)["UICustomization"] == {}


def test_css_that_loads_and_pictures_that_run_are_refused(idp, pool, app):
    for css, message in [
        (
            ".label-customizable { background: url(https://evil.example) }",
            "CSS is not valid in line 1, column 35: url( is not allowed: the pages load nothing. Set the logo with ImageFile.",
        ),
        (
            "@import 'https://evil.example/x.css';",
            "CSS is not valid in line 1, column 1: @import is not allowed: only rules for Cognito's classes are.",
        ),
    ]:
        with refused("InvalidParameterException", message):
            idp.set_ui_customization(UserPoolId=pool.id, CSS=css)
    with refused("InvalidParameterException", "ImageFile is an SVG, which can hold scripts. Convert it to PNG or JPEG."):
        idp.set_ui_customization(UserPoolId=pool.id, ClientId=app.id, ImageFile=b"<svg onload='alert(1)'/>")
    assert idp.get_ui_customization(UserPoolId=pool.id)["UICustomization"] == {}
