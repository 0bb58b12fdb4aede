"""From evaluations to alert transitions and notifications: one module per kind of alert."""
