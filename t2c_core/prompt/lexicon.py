"""The words this package knows: what moves, what stands, what goes up or down by itself. Lower case, both numbers."""

from __future__ import annotations


def listed(text: str) -> tuple[str, ...]:
    """The words of a text in their order."""
    return tuple(text.split())


MOVING_WORDS = listed(
    "water waters waterfall waterfalls falls river rivers stream streams creek creeks brook brooks ocean oceans sea "
    "seas seawater lake lakes pond ponds lagoon wave waves surf tide cascade cascades rapids fountain fountains geyser "
    "geysers whirlpool canal lava magma cloud clouds smoke steam vapor vapour fog mist haze fire fires flame flames "
    "campfire bonfire fireplace torch torches candle candles embers rain snow snowfall snowflakes blizzard sandstorm "
    "dust ash sparks bubbles aurora sky skies nebula galaxy lagoons canals whirlpools tides foam swell breakers "
    "whitewater pool pools downpour drizzle storm storms tornado wildfire"
)
"""What can move in a cinemagraph."""

SWAYING_WORDS = listed("flag flags banner banners streamer streamers grass grasses wheat reed reeds")
"""What moves in its place, and only where it was asked for: a direction or a pace may be said of it."""

STILL_WORDS = listed(
    "mountain mountains hill hills cliff cliffs rock rocks boulder boulders stone stones canyon canyons valley valleys "
    "gorge cave caves island islands beach beaches shore coast coastline bay desert dune dunes glacier glaciers "
    "iceberg volcano volcanoes plain plains meadow meadows field fields forest forests wood woods woodland jungle "
    "rainforest tree trees pine pines palm palms willow birch oak bamboo bush bushes grass moss fern ferns flower "
    "flowers leaf leaves garden gardens park path trail road roads street streets bridge bridges castle castles house "
    "houses hut cottage cabin village villages town towns city cities skyline skyscraper building buildings tower "
    "towers temple temples pagoda church cathedral ruin ruins lighthouse harbor harbour pier dock boat boats ship "
    "ships sailboat canoe windmill mill barn farm fence wall dam sun sunset sunrise moon star stars rainbow horizon "
    "night day dawn dusk twilight morning evening winter summer autumn spring landscape scenery seascape cityscape "
    "countryside swamp marsh wetland reef waterside riverbank bank banks lakeside vineyard orchard statue gate arch "
    "chimney chimneys factory train railway station sand ice pebbles shell shells cactus hot-spring terrace terraces "
    "amphitheater ravine fjord cliffside hillside mountainside treehouse greenery vegetation foliage gorges bays "
    "icebergs cove coves cape peninsula delta estuary wetlands bog tundra savanna prairie steppe plateau ridge ridges "
    "peak peaks summit slope slopes crater oasis grotto cavern caverns ledge ledges pebble gravel mud driftwood log "
    "logs reeds lily lilies lotus lavender sunflowers wheat heather ivy vines blossom blossoms cherry cypress "
    "cypresses maple maples fir firs spruce cedar cedars redwoods oaks birches willows roses tulips hedge branch "
    "branches parks paths trails huts cottages cabins mills windmills barns farms walls fences gates arches statues "
    "lighthouses piers docks churches cathedrals pagodas shrine torii monastery palace fortress mansion chapel "
    "pavilion gazebo lane alley square market plaza quay wharf loch gondola gondolas canoes sailboats trains factories "
    "frost icicles moonlight sunlight shores coasts vineyards orchards people person man men woman women girl boy "
    "child children bird birds duck ducks swan swans deer horse horses fish"
)
"""What else a scene is made of."""

SCENE_WORDS = frozenset(MOVING_WORDS + STILL_WORDS)

FALLS = frozenset(listed("waterfall waterfalls falls cascade cascades rain snow snowfall snowflakes rapids"))
"""What goes down if nothing else is said."""
CAN_FALL = FALLS.union(
    listed("water waters river rivers stream streams creek creeks brook brooks lava ash fog mist dust")
)
RISES = frozenset(
    listed(
        "smoke steam vapor vapour fire fires flame flames campfire bonfire fireplace torch torches candle candles "
        "embers sparks geyser geysers fountain fountains bubbles"
    )
)
"""What goes up if nothing else is said."""
CAN_RISE = RISES.union(listed("fog mist haze dust cloud clouds lava magma ash"))
AIRY = frozenset(listed("cloud clouds sky skies fog mist haze smoke steam aurora dust snow ash"))
"""What drifts."""

SKY = frozenset(
    listed("cloud clouds sky skies smoke steam vapor vapour fog mist haze aurora storm storms rain snow nebula galaxy")
)
"""What is found above other things where nothing says where it is."""

TRAVELLERS = frozenset(
    listed(
        "boat boats ship ships sailboat sailboats canoe canoes train trains car cars bus plane balloon balloons kite "
        "bird birds duck ducks swan swans fish man men woman women person people girl boy child children dog cat horse "
        "horses cow deer hiker runner light lights sunlight sunbeam sunbeams ray rays shadow shadows star stars sun "
        "moon leaf leaves petal petals traffic day night darkness autumn winter spring season evening hand arm camera "
        "viewer kids "
        "tourists"
    )
)
"""What goes somewhere without flowing."""

STANDING = frozenset(
    listed(
        "road roads path paths trail trails street streets stairs steps staircase ladder railway track tracks bridge "
        "wall fence hill hills mountain mountains cliff cliffs tower towers castle castles temple tree trees rock "
        "rocks island islands volcano skyscraper skyscrapers city town house houses valley building buildings rainbow "
        "pier ladder"
    )
)
"""What stands but is said to run, climb or rise."""
