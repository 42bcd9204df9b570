"""Who may instruct whom: skeletons of entities and flows, their assessment, and the grants derived from them."""
