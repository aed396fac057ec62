"""Pictures, sounds and meshes of the example worlds, made by arithmetic."""
