"""The types through which the runtime and the adapters meet."""
