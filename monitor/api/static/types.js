/**
 * Types of the API's answers, under the names of their schemas in openapi.json. The page does not load this file; it is read by
 * the type checker. Fields that the page does not show are left out.
 */

/** @typedef {number | null | undefined} Figure  A number, or none where it cannot be computed. */
/** @typedef {"binary" | "multiclass" | "confidence" | "regression"} Task */
/** @typedef {"recalibrate" | "retrain" | "check_labels" | "wait"} Remedy */
/** @typedef {"calibrated" | "suspect" | "miscalibrated" | "too_few_labels"} Verdict */
/** @typedef {"overestimates" | "underestimates" | "overconfident" | "underconfident" | "none"} Direction */

/**
 * @typedef {object} Bin
 * @property {number} lower
 * @property {number} upper
 * @property {number} count
 * @property {number | null} mean_confidence
 * @property {number | null} observed
 * @property {number | null} observed_low
 * @property {number | null} observed_high
 */

/**
 * @typedef {object} Level
 * @property {number} level
 * @property {number} observed
 * @property {number} low
 * @property {number} high
 */

/**
 * @typedef {object} ClassCalibration
 * @property {string} class
 * @property {number} labelled
 * @property {number} positives
 * @property {number | null} mean_probability
 * @property {number | null} observed
 * @property {number | null} ece
 * @property {number | null} ece_lower_bound
 * @property {number | null} threshold
 * @property {Verdict | null} verdict
 */

/**
 * @typedef {object} EvaluationAnswer
 * @property {Verdict} verdict
 * @property {number} labels_needed
 * @property {string | null} verdict_reason
 * @property {string | null} threshold_hint
 * @property {Direction | null} direction
 * @property {string | null} since
 * @property {string | null} since_low
 * @property {string | null} since_high
 * @property {Remedy | null} remedy
 * @property {string | null} remedy_reason
 * @property {string} start
 * @property {string} end
 * @property {string | null} version
 * @property {string} segment
 * @property {"served" | "raw"} scores
 * @property {number} predictions
 * @property {number} labelled
 * @property {number | null} label_coverage
 * @property {boolean} matured
 * @property {number | null} accuracy
 * @property {number | null} mean_confidence
 * @property {number | null} ece
 * @property {number | null} ece_lower_bound
 * @property {number | null} ece_null_mean
 * @property {number | null} sce
 * @property {number | null} brier
 * @property {number | null} log_loss
 * @property {Bin[]} reliability
 * @property {ClassCalibration[]} classes
 */

/**
 * @typedef {object} RegressionEvaluation
 * @property {number | null} quantile_ece
 * @property {number | null} quantile_ece_lower_bound
 * @property {number | null} quantile_ece_null_mean
 * @property {number | null} crps
 * @property {number | null} bias
 * @property {number | null} mean_absolute_error
 * @property {number | null} mean_squared_z
 * @property {number[]} pit
 * @property {Level[]} coverage
 */

/** @typedef {Partial<EvaluationAnswer> & Partial<RegressionEvaluation>} AnyEvaluation  Of any task; what another task has is absent. */

/**
 * @typedef {object} Listed
 * @property {string} window
 */

/**
 * @typedef {object} Corrected
 * @property {number} clamped
 * @property {number} normalized
 * @property {number} sorted
 */

/**
 * @typedef {object} UndeclaredClass
 * @property {string} name
 * @property {number} labels
 * @property {string | null} near
 */

/**
 * @typedef {object} Undeclared
 * @property {number} labels
 * @property {UndeclaredClass[]} classes
 * @property {string | null} told
 */

/**
 * @typedef {object} Summary
 * @property {string} model
 * @property {Task | null} task
 * @property {string} recalibration
 * @property {Verdict | "no_data"} state
 * @property {number} alerts
 * @property {number | null} champion
 * @property {number | null} proposal
 * @property {number} predictions
 * @property {number} labelled
 * @property {Corrected} corrected
 * @property {Undeclared} undeclared
 * @property {Record<string, number>} unnamed
 * @property {string | null} last_event_at
 * @property {AnyEvaluation & Listed | null} evaluation
 */

/**
 * @typedef {object} Models
 * @property {Summary[]} models
 * @property {number} backlog_events
 * @property {number} rollup_lag_seconds
 */

/**
 * @typedef {object} ModelAnswer
 * @property {string} model
 * @property {number} revision
 * @property {Task | null} task
 * @property {string[]} windows
 * @property {string[]} segments
 * @property {string[]} versions
 * @property {{ ece?: number, psi?: number, ratio?: number }} thresholds
 * @property {"window" | "sequential"} alert_policy
 * @property {number} false_alarm_rate
 * @property {"off" | "propose" | "auto" | "shadow"} recalibration
 * @property {number | null} champion
 * @property {number | null} proposal
 * @property {string | null} last_event_at
 */

/**
 * @typedef {object} AlertAnswer
 * @property {string} at
 * @property {string} kind
 * @property {"firing" | "resolved"} state
 * @property {string} window
 * @property {string} version
 * @property {string} segment
 * @property {{ summary?: string }} evidence
 */

/** @typedef {Record<string, unknown>} Facts  Figures and words by name, nested. */

/**
 * @typedef {object} Alerts
 * @property {AlertAnswer[]} alerts
 */

/**
 * @typedef {object} History
 * @property {AnyEvaluation[]} evaluations
 */

/** @typedef {"ever" | { per_labels: [number, number] }} Guarantee */

/**
 * @typedef {object} VersionEvidence
 * @property {string} version
 * @property {string} segment
 * @property {number | null} log_e
 * @property {number | null} [log_e_peak]
 * @property {Guarantee} [guarantee]
 * @property {"ece" | "pointwise"} [alert_on]
 * @property {number | null} [peak]
 * @property {number | null} [fires_at]
 * @property {number | null} [ece_at_least]
 * @property {number} labels
 * @property {number} late_labels
 * @property {boolean} held
 * @property {string | null} held_because
 * @property {Direction} direction
 * @property {number} threshold
 * @property {number} false_alarm_rate
 * @property {number | null} level
 * @property {string} since
 * @property {string} until
 */

/**
 * @typedef {object} RatioEvidence
 * @property {string} version
 * @property {number} threshold
 * @property {number | null} log_e
 * @property {number} log_e_peak
 * @property {number | null} fires_at
 * @property {number} observed
 * @property {number} expected
 * @property {Direction} direction
 * @property {number} labels
 * @property {boolean} held
 * @property {string | null} held_because
 * @property {number | null} level
 * @property {string} since
 */

/**
 * @typedef {object} Evidence
 * @property {VersionEvidence[]} evidence
 * @property {VersionEvidence[]} classes
 * @property {RatioEvidence[]} ratios
 * @property {number} false_alarm_rate
 * @property {number} spent
 */

/**
 * @typedef {object} SegmentRow
 * @property {string} segment
 * @property {number} labelled
 * @property {number | null} ece
 * @property {number | null} quantile_ece
 * @property {number | null} quantile_ece_lower_bound
 * @property {number | null} debiased_l2
 * @property {number | null} debiased_l2_low
 * @property {number | null} debiased_l2_high
 * @property {Direction | null} direction
 * @property {number} e_value_log
 * @property {boolean} flagged
 */

/**
 * @typedef {object} Segments
 * @property {SegmentRow[]} segments
 * @property {number} false_discovery_rate
 * @property {number} threshold
 * @property {string} start
 * @property {string} end
 */

/**
 * @typedef {object} Delay
 * @property {number} share
 * @property {string | null} estimated
 */

/**
 * @typedef {object} EarlyLate
 * @property {string} within
 * @property {number} early
 * @property {number} late
 */

/**
 * @typedef {object} Cohort
 * @property {string} start
 * @property {string} end
 * @property {number} predictions
 * @property {number | null} label_coverage
 * @property {number} late
 * @property {boolean} matured
 */

/**
 * @typedef {object} Labels
 * @property {string} label_delay
 * @property {boolean} learned
 * @property {string | null} matured_until
 * @property {Delay[]} delays
 * @property {number} labels_seen
 * @property {number | null} share_never
 * @property {EarlyLate | null} early_late
 * @property {string | null} warning
 * @property {Cohort[]} cohorts
 */

/**
 * @typedef {object} EstimateNow
 * @property {string} assumption
 * @property {string} end
 * @property {number} predictions
 * @property {number} accuracy
 * @property {number} accuracy_low
 * @property {number} accuracy_high
 * @property {number} ece
 * @property {number} ece_low
 * @property {number} ece_high
 * @property {number} brier
 * @property {number} brier_low
 * @property {number} brier_high
 */

/**
 * @typedef {object} Inside
 * @property {boolean} accuracy
 * @property {boolean} ece
 * @property {boolean} brier
 */

/**
 * @typedef {object} Truth
 * @property {number | null} accuracy
 * @property {number | null} ece
 * @property {number | null} brier
 * @property {Inside | null} inside
 */

/** @typedef {Omit<EstimateNow, "assumption">} Estimated */
/** @typedef {Estimated & { truth: Truth | null }} PastEstimate */

/**
 * @typedef {object} EstimateRecord
 * @property {number} judged
 * @property {number | null} accuracy
 * @property {number | null} ece
 * @property {number | null} brier
 */

/**
 * @typedef {object} EstimateAnswer
 * @property {EstimateNow | null} estimate
 * @property {PastEstimate[]} past
 * @property {EstimateRecord} record
 */

/**
 * @typedef {object} Calibrator
 * @property {number} number
 * @property {string} method
 * @property {Task} task
 * @property {Facts} parameters
 * @property {Facts} fitted_from
 * @property {Facts | null} gate
 * @property {string} created_at
 * @property {string} sha256
 */

/**
 * @typedef {object} Promotion
 * @property {string} at
 * @property {number | null} number
 */

/**
 * @typedef {object} Trial
 * @property {"watch" | "proposal" | "shadow" | "canary"} role
 * @property {number} number
 * @property {number | null} against
 * @property {string} since
 * @property {number} labels
 * @property {number | null} brier
 * @property {number | null} brier_other
 * @property {number | null} crps
 * @property {number | null} crps_other
 * @property {"worse" | "better" | "undecided"} verdict
 * @property {number | null} labels_needed
 */

/**
 * @typedef {object} Calibrators
 * @property {Calibrator[]} calibrators
 * @property {number | null} champion
 * @property {number | null} challenger
 * @property {Promotion[]} promotions
 * @property {Trial[]} trials
 */

/**
 * @typedef {object} Curve
 * @property {string | null} name
 * @property {number[]} x
 * @property {number[]} y
 */

/**
 * @typedef {object} CalibratorMap
 * @property {number | null} number
 * @property {Curve[]} curves
 * @property {string} x_label
 * @property {string} y_label
 */

/**
 * @typedef {object} MapPoint
 * @property {number} probability
 * @property {number} before
 * @property {number} after
 */

/**
 * @typedef {object} SelectedBy
 * @property {number | null} share
 * @property {number | null} expected_precision
 */

/**
 * @typedef {object} DecisionImpact
 * @property {string} name
 * @property {SelectedBy} before
 * @property {SelectedBy} after
 */

/**
 * @typedef {object} Difference
 * @property {number | null} before
 * @property {number | null} after
 * @property {MapPoint[]} map
 * @property {number | null} mean_change
 * @property {number | null} largest_change
 * @property {number} predictions
 * @property {DecisionImpact[]} decisions
 */

/**
 * @typedef {object} Moved
 * @property {number | null} champion
 * @property {Difference | null} difference
 */

/**
 * @typedef {object} Refitted
 * @property {number} number
 * @property {boolean} promoted
 * @property {string} reason
 */

/**
 * @typedef {object} Refused
 * @property {null} number
 * @property {false} promoted
 * @property {string} reason
 * @property {string | null} held
 * @property {Facts | null} fitted
 */

/**
 * @typedef {object} Entry
 * @property {string} at
 * @property {string} actor
 * @property {string} action
 * @property {StepDetail} detail
 */

/** @typedef {{ number?: number, restored?: number | null, reason?: string }} StepDetail */

/**
 * @typedef {object} Audit
 * @property {Entry[]} audit
 */

/**
 * @typedef {object} Rejected
 * @property {string} at
 * @property {string | null} event_id
 * @property {string} code
 * @property {string} reason
 */

/** @typedef {{ code: string, count: number }} Tally */

/**
 * @typedef {object} Rejections
 * @property {Tally[]} counts
 * @property {Rejected[]} rejections
 */

/**
 * @typedef {object} ReplayState
 * @property {number} id
 * @property {"running" | "done" | "failed" | "cancelled"} state
 * @property {{ done: number, total: number }} progress
 * @property {object} policy
 * @property {string} created_at
 * @property {string | null} finished_at
 * @property {string | null} reason
 */

/** @typedef {{ replays: ReplayState[] }} ReplayList */

/** @typedef {{ at: string, reason: string | null }} ReplayedStep */

/**
 * @typedef {object} Replayed
 * @property {{ at: string, kind: string, state: "firing" | "resolved", evidence: { summary: string } }[]} alerts
 * @property {ReplayedStep[]} promotions
 * @property {ReplayedStep[]} rollbacks
 * @property {number} evaluations
 * @property {number} left_out
 */

/** @typedef {ReplayState & { result: Replayed | null }} ReplayAnswer */

/**
 * @typedef {object} FieldError
 * @property {string} field
 * @property {string} reason
 */

/**
 * @typedef {object} Problem
 * @property {string} title
 * @property {string} detail
 * @property {FieldError[]} errors
 */

/**
 * Distances of raw scores from a reference.
 *
 * @typedef {object} Drift
 * @property {string} start
 * @property {string} end
 * @property {"fixed" | "trailing" | "champion" | "validation"} reference_kind
 * @property {string} reference_start
 * @property {string} reference_end
 * @property {number} predictions
 * @property {number} reference_predictions
 * @property {Figure} psi
 * @property {Figure} psi_null_95
 * @property {Figure} psi_null_999
 * @property {Figure} ks
 * @property {Figure} ks_null_95
 * @property {Figure} js
 * @property {Figure} js_null_95
 * @property {Figure} wasserstein
 * @property {Figure} wasserstein_null_95
 * @property {Figure} relative_move
 * @property {Figure} least_move
 * @property {number} threshold
 * @property {boolean} enough
 * @property {boolean} drifted
 */

/**
 * Calls on a model, with what each answers.
 *
 * @typedef {object} ModelCalls
 * @property {AnyEvaluation} calibration
 * @property {History} history
 * @property {Alerts} alerts
 * @property {Audit} audit
 * @property {Calibrators} calibrators
 * @property {Evidence} evidence
 * @property {Labels} labels
 * @property {Segments} segments
 * @property {EstimateAnswer} estimate
 * @property {Drift} drift
 * @property {Rejections} rejections
 * @property {ReplayList} replays
 */

/** @typedef {{ description?: string, $ref?: string, anyOf?: { $ref?: string }[], properties?: Record<string, Schema> }} Schema  Of JSON. */
/** @typedef {{ responses: { 200: { content: { "application/json": { schema: Schema } } } } }} Operation */

/**
 * The description of the API.
 *
 * @typedef {object} OpenApi
 * @property {Record<string, { get?: Operation }>} paths
 * @property {{ schemas: Record<string, Schema> }} components
 */
