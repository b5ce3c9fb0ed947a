"""Polygons burned onto maps and slides, against shapely's own answer for the center of every pixel."""

import numpy as np
import pytest
import rasterio.warp
import shapely
from rasterio.transform import Affine

from atrous.data.formats import base, read_header, read_pyramid
from atrous.data.formats.polygons import burn, read_polygons
from atrous.errors import UserError
from tests.data.formats.pictures import put
from tests.maps import write_map
from tests.polygons import square, write_shapes
from tests.slides import write_svs

PLACE = Affine(10, 0, 500000, 0, -10, 5200000)
BANDS = np.zeros((1, 40, 50), np.uint8)
BIG, SMALL = square(500052, 5199948, 201), shapely.Point(500300, 5199800).buffer(83)


def centers(transform=PLACE):
    rows, columns = np.mgrid[0:40, 0:50] + 0.5
    a, b, c, d, e, f = transform[:6]
    return a * columns + b * rows + c, d * columns + e * rows + f


def map_at(path, place=PLACE):
    write_map(path, BANDS, place)
    return path


def inside(shape, transform=PLACE):
    return shapely.contains_xy(shape, *centers(transform))


@pytest.fixture
def scene(tmp_path):
    return map_at(tmp_path / "scene.tif")


def burned(path, image, values=(1, 2), **options):
    return burn(read_polygons(path), values, image, read_header(image), **{"alone": True, "ground": 0, **options})


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".shp"])
def test_a_pixel_has_the_value_of_the_polygon_at_its_center(tmp_path, scene, suffix):
    path = write_shapes(tmp_path / f"scene{suffix}", [BIG, SMALL], kind=["field", "water"])
    expected = np.where(inside(SMALL), 2, np.where(inside(BIG), 1, 0))
    labels = burned(path, scene)
    np.testing.assert_array_equal(labels, expected)
    assert read_polygons(path).attributes["kind"].tolist() == ["field", "water"]
    assert set(np.unique(labels)) == {0, 1, 2}


def test_of_polygons_that_overlap_the_later_one_counts(tmp_path, scene):
    path = write_shapes(tmp_path / "a.gpkg", [BIG, square(500100, 5199900, 50)], n=[1, 2])
    assert burned(path, scene)[12, 12] == 2
    assert burned(path, scene, ground=255)[0, 0] == 255


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".shp"])
def test_polygons_of_another_projection_are_brought_to_that_of_the_image(tmp_path, scene, suffix):
    def degrees(places):
        return np.stack(rasterio.warp.transform("EPSG:32633", "EPSG:4326", places[:, 0], places[:, 1]), 1)

    shapes = [shapely.transform(shapely.segmentize(shape, 5), degrees) for shape in (BIG, SMALL)]
    path = write_shapes(tmp_path / f"scene{suffix}", shapes, crs="EPSG:4326", n=[1, 2])
    expected = np.where(inside(SMALL), 2, np.where(inside(BIG), 1, 0))
    assert (burned(path, scene) != expected).mean() < 0.002


def test_long_edges_become_curves(tmp_path):
    place = Affine(2000, 0, 300000, 0, -2000, 6900000)
    image = map_at(tmp_path / "wide.tif", place)
    band = shapely.box(10, 61.55, 18, 62.0)  # its sides along a parallel are straight in degrees alone
    path = write_shapes(tmp_path / "wide.gpkg", [band], crs="EPSG:4326", n=[1])
    x, y = centers(place)
    lon, lat = (
        np.reshape(part, x.shape) for part in rasterio.warp.transform("EPSG:32633", "EPSG:4326", x.ravel(), y.ravel())
    )
    expected = shapely.contains_xy(band, lon, lat)
    assert (burned(path, image, (1,)) != expected).mean() < 0.01


def test_south_up_maps(tmp_path):
    place = Affine(10, 0, 500000, 0, 10, 5199600)
    image = map_at(tmp_path / "a.tif", place)
    path = write_shapes(tmp_path / "a.gpkg", [BIG], n=[1])
    np.testing.assert_array_equal(burned(path, image, (1,)), inside(BIG, place))


def test_on_a_picture_coordinates_are_pixels_and_on_a_level_of_a_slide_those_of_the_finest(tmp_path):
    picture = tmp_path / "a.png"
    put(picture, np.zeros((40, 50), np.uint8))
    path = write_shapes(tmp_path / "a.geojson", [shapely.box(10, 20, 30, 36)], crs="EPSG:4326", n=[1])
    expected = np.zeros((40, 50))
    expected[20:36, 10:30] = 1
    np.testing.assert_array_equal(burned(path, picture, (1,)), expected)
    slide = write_svs(tmp_path / "a.svs", np.zeros((160, 200, 3), np.uint8))
    path = write_shapes(tmp_path / "b.geojson", [shapely.box(40, 80, 120, 144)], crs="EPSG:4326", n=[1])
    labels = burn(read_polygons(path), (1,), slide, read_pyramid(slide)[1], alone=True, ground=0)
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize(
    ("shapes", "crs", "line"),
    [
        ([square(0, 0, 9)], "EPSG:32633", r"none of its 1 polygons lies on scene\.tif \(they at x 0 to 9, y -9 to 0"),
        ([shapely.Polygon([(0, 0), (9, 9), (9, 0), (0, 9)])], "EPSG:32633",
         r"1 of its 1 polygons are not valid \(feature 1: Self-intersection.*\): correct them"),
        ([shapely.LineString([(0, 0), (1, 1)])], "EPSG:32633", "feature 1 is a LineString, not a polygon"),
        ([BIG], None, r"a\.gpkg does not say its projection: assign it"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_what_cannot_be_burned_takes_one_line(tmp_path, scene, shapes, crs, line):
    path = write_shapes(tmp_path / "a.gpkg", shapes, crs=crs, n=[1])
    with pytest.raises(UserError, match=rf"a\.gpkg: .*{line}"):
        burned(path, scene, (1,))


def test_polygons_of_several_images_need_not_touch_all_of_them(tmp_path, scene):
    path = write_shapes(tmp_path / "all.gpkg", [square(0, 0, 9)], n=[1])
    assert not burned(path, scene, (1,), alone=False).any()


def test_a_shapefile_without_projection_and_a_map_without_one(tmp_path, scene):
    path = write_shapes(tmp_path / "a.shp", [BIG], n=[1])
    path.with_suffix(".prj").unlink()
    with pytest.raises(UserError, match=r"a\.shp does not say its projection: copy its \.prj file beside it"):
        burned(path, scene, (1,))
    (tmp_path / "b.png").touch()
    put(tmp_path / "b.png", BANDS[0])
    other = write_shapes(tmp_path / "b.gpkg", [BIG], n=[1])
    with pytest.raises(UserError, match=r"polygons are in EPSG:32633, but b\.png says no place on Earth"):
        burned(other, tmp_path / "b.png", (1,))


def test_content_of_another_format_never_reaches_gdal(tmp_path):
    secret = write_shapes(tmp_path / "secret.gpkg", [BIG], n=[1])
    layer = f'<OGRVRTLayer name="x"><SrcDataSource>{secret}</SrcDataSource></OGRVRTLayer>'
    vrt = f"<OGRVRTDataSource>{layer}</OGRVRTDataSource>"
    for name in ("a.geojson", "a.gpkg", "a.shp"):
        (tmp_path / name).write_text(vrt)
        with pytest.raises(UserError, match=f"{name}: cannot be read, it is not a"):
            read_polygons(tmp_path / name)


def test_damaged_files_are_named(tmp_path):
    path = write_shapes(tmp_path / "a.gpkg", [BIG], n=[1])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"a\.gpkg: "):
        read_polygons(path)
    (tmp_path / "a.geojson").write_text('{"type": "FeatureCollection", "features": [')
    with pytest.raises(UserError, match=r"a\.geojson: "):
        read_polygons(tmp_path / "a.geojson")
    shape = write_shapes(tmp_path / "b.shp", [BIG], n=[1])
    shape.with_suffix(".shx").unlink()
    with pytest.raises(UserError, match=r"b\.shp: its \.shx file is missing"):
        read_polygons(shape)


def test_files_that_do_not_fit_into_memory_are_refused(tmp_path, monkeypatch):
    path = write_shapes(tmp_path / "a.gpkg", [BIG], n=[1])
    monkeypatch.setattr(base, "memory_limit", lambda: 1000)
    monkeypatch.setattr(base, "ALWAYS", 0)
    with pytest.raises(UserError, match=r"reading its polygons needs .*, and this process may use 1000 bytes"):
        read_polygons(path)


def test_polygons_where_the_projection_of_the_image_ends_do_not_matter(tmp_path, scene):
    def degrees(places):
        return np.stack(rasterio.warp.transform("EPSG:32633", "EPSG:4326", places[:, 0], places[:, 1]), 1)

    far = [shapely.box(-179, 80, -160, 90), shapely.box(100, -90, 110, -89)]
    shapes = [far[0], shapely.transform(shapely.segmentize(BIG, 5), degrees), far[1]]
    path = write_shapes(tmp_path / "world.gpkg", shapes, crs="EPSG:4326", n=[1, 2, 3])
    assert (burned(path, scene, (1, 2, 3)) != 2 * inside(BIG)).mean() < 0.002
