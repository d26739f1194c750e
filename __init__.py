"""ComfyUI entry point of Text2Cinemagraph; the nodes are in ``nodes/``, the work is done in ``t2c_core/``."""

if __package__:
    from .nodes.engine import check_engine

    check_engine()

    from .nodes.extension import comfy_entrypoint

    WEB_DIRECTORY = "./js"

    __all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
