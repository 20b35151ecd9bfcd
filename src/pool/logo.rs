//! Where a logo stands on a page.

/// In CSS pixels: Cognito's room for it. A logo keeps its proportions and is never made larger.
pub const SHOWN: (u32, u32) = (350, 178);

/// The size of a picture when it is made to fit into `room`; never empty.
pub fn fitted((width, height): (u32, u32), room: (u32, u32)) -> (u32, u32) {
    if width <= room.0 && height <= room.1 {
        return (width.max(1), height.max(1));
    }
    let scaled = |side: u32, by: u32, of: u32| {
        let scaled = u64::from(side) * u64::from(by) / u64::from(of.max(1));
        u32::try_from(scaled).unwrap_or(by).max(1)
    };
    let by_width = (room.0, scaled(height, room.0, width));
    if by_width.1 <= room.1 { by_width } else { (scaled(width, room.1, height), room.1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_fits_and_keeps_its_proportions() {
        for (size, fits) in [
            ((10, 10), (10, 10)),
            ((350, 178), (350, 178)),
            ((700, 100), (350, 50)),
            ((100, 1_000), (17, 178)),
            ((100_000, 1), (350, 1)),
            ((1, 100_000), (1, 178)),
            ((u32::MAX, u32::MAX), (178, 178)),
        ] {
            assert_eq!(fitted(size, SHOWN), fits, "{size:?}");
        }
    }
}
