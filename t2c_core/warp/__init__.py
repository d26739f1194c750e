"""The picture carried along the field: integration, splatting, gathering."""
