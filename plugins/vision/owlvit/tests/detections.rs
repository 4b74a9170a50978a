//! Scores and boxes to detections.

use medfocus_vision_owlvit::detections::detections;

/// A box of corners on an image of 100 x 50 pixels.
fn shares([x1, y1, x2, y2]: [f32; 4]) -> [f32; 4] {
    [
        (x1 + x2) / 200.0,
        (y1 + y2) / 100.0,
        (x2 - x1) / 100.0,
        (y2 - y1) / 50.0,
    ]
}

fn found(all: &[(f32, [f32; 4])], limit: usize) -> Vec<(f32, [u32; 4])> {
    let (scores, boxes): (Vec<f32>, Vec<_>) = all
        .iter()
        .map(|&(score, corners)| (score, shares(corners)))
        .unzip();
    detections(&scores, &boxes, (100, 50), "heart", 0.1, limit)
        .into_iter()
        .map(|found| {
            assert_eq!(found.label.as_deref(), Some("heart"));
            (found.score as f32, found.bbox.corners())
        })
        .collect()
}

#[test]
fn only_scores_above_the_threshold_count_and_the_best_come_first() {
    let corners = [10.5, 10.5, 20.5, 20.5];
    let all = [
        (0.1, corners),
        (0.2, corners),
        (0.100_001, corners),
        (0.9, corners),
        (0.05, corners),
    ];
    let scores = |limit| -> Vec<f32> {
        found(&all, limit)
            .into_iter()
            .map(|(score, _)| score)
            .collect()
    };
    assert_eq!(scores(5), [0.9, 0.2, 0.100_001]);
    assert_eq!(scores(2), [0.9, 0.2]);
    assert_eq!(scores(0), [0.0; 0]);
}

#[test]
fn equal_scores_keep_their_order() {
    let all = [(0.5, [1.5, 1.5, 3.5, 3.5]), (0.5, [2.5, 2.5, 4.5, 4.5])];
    assert_eq!(found(&all, 1), [(0.5, [1, 1, 3, 3])]);
}

#[test]
fn corners_are_truncated_and_end_at_the_last_pixel() {
    for (corners, expected) in [
        ([1.9, 2.9, 3.9, 4.9], [1, 2, 3, 4]),
        ([-0.9, -7.3, 3.5, 4.5], [0, 0, 3, 4]),
        ([90.5, 40.5, 130.5, 60.5], [90, 40, 99, 49]),
        ([-50.5, -50.5, 150.5, 150.5], [0, 0, 99, 49]),
    ] {
        assert_eq!(
            found(&[(0.5, corners)], 5),
            [(0.5, expected)],
            "{corners:?}"
        );
    }
}

#[test]
fn an_empty_box_is_dropped_and_not_replaced() {
    let good = [10.5, 10.5, 20.5, 20.5];
    for empty in [
        [3.2, 5.5, 3.8, 9.5],
        [3.5, 5.2, 9.5, 5.8],
        [99.2, 5.5, 140.5, 9.5],
        [-9.5, 5.5, -3.5, 9.5],
        [3.5, 60.5, 9.5, 70.5],
    ] {
        let all = [(0.9, empty), (0.8, good), (0.7, good)];
        assert_eq!(found(&all, 2), [(0.8, [10, 10, 20, 20])], "{empty:?}");
    }
}
