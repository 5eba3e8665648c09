//! Every row of the differences between 4.4.0 and 5.0.0 (`domain.md` §5.3), shown in both directions.

use fhir_model::{Product, convert, render, schema};
use pms_terms::FhirVersion;
use serde_json::{Value, json};

/// One row: what a resource holds in 5.0.0, and where that stands in 4.4.0 (`null`: nowhere).
struct Row {
    what: &'static str,
    resource: Value,
    there: Vec<(&'static str, Value)>,
    /// Places in 5.0.0 that hold after the way back what they held before.
    back: Vec<&'static str>,
}

fn row(what: &'static str, resource: Value, there: Vec<(&'static str, Value)>, back: &[&'static str]) -> Row {
    Row { what, resource, there, back: back.to_vec() }
}

fn mpd(fields: Value) -> Value {
    with(
        json!({"resourceType": "MedicinalProductDefinition", "id": "1", "name": [{"productName": "A"}]}),
        fields,
    )
}

fn of(kind: &str, fields: Value) -> Value {
    with(json!({"resourceType": kind, "id": "x"}), fields)
}

fn with(mut resource: Value, fields: Value) -> Value {
    let Value::Object(fields) = fields else { panic!("{fields}") };
    resource.as_object_mut().unwrap().extend(fields);
    resource
}

fn text(words: &str) -> Value {
    json!({"text": words})
}

fn concept(words: &str) -> Value {
    json!({"concept": {"text": words}})
}

fn to(reference: &str) -> Value {
    json!({"reference": reference})
}

fn product_rows() -> Vec<Row> {
    let none = Value::Null;
    vec![
        row(
            "paediatricUseIndicator",
            mpd(json!({"pediatricUseIndicator": text("yes")})),
            vec![("/paediatricUseIndicator", text("yes")), ("/pediatricUseIndicator", none.clone())],
            &["/pediatricUseIndicator"],
        ),
        row(
            "productClassification",
            mpd(json!({"classification": [text("ATC"), text("legal basis")]})),
            vec![
                ("/productClassification", json!([text("ATC"), text("legal basis")])),
                ("/classification", none.clone()),
            ],
            &["/classification"],
        ),
        row(
            "name.namePart",
            mpd(json!({"name": [{"productName": "A", "part": [{"part": "A", "type": text("whole")}]}]})),
            vec![("/name/0/namePart/0/part", json!("A")), ("/name/0/part", none.clone())],
            &["/name"],
        ),
        row(
            "name.countryLanguage",
            mpd(
                json!({"name": [{"productName": "A", "usage": [{"country": text("ES"), "jurisdiction": text("EU"), "language": text("es")}]}]}),
            ),
            vec![(
                "/name/0/countryLanguage/0",
                json!({"country": text("ES"), "jurisdiction": text("EU"), "language": text("es")}),
            )],
            &["/name"],
        ),
        row(
            "manufacturingBusinessOperation",
            mpd(
                json!({"operation": [{"type": concept("Manufacture"), "effectiveDate": {"start": "2020"}, "organization": [to("Organization/o")], "confidentialityIndicator": text("Confidential")}]}),
            ),
            vec![
                ("/manufacturingBusinessOperation/0/manufacturer", json!([to("Organization/o")])),
                ("/manufacturingBusinessOperation/0/effectiveDate/start", json!("2020")),
                ("/manufacturingBusinessOperation/0/confidentialityIndicator", text("Confidential")),
                ("/operation", none.clone()),
            ],
            &["/operation"],
        ),
        row(
            "crossReference.productReference",
            mpd(
                json!({"crossReference": [{"product": {"reference": to("MedicinalProductDefinition/2")}, "type": text("generic")}]}),
            ),
            vec![("/crossReference/0/productReference", to("MedicinalProductDefinition/2"))],
            &["/crossReference"],
        ),
        row(
            "crossReference.productIdentifier",
            mpd(json!({"crossReference": [{"product": {"reference": {"identifier": {"value": "ES-1"}}}}]})),
            vec![("/crossReference/0/productIdentifier/value", json!("ES-1"))],
            &["/crossReference"],
        ),
        row(
            "packagedMedicinalProduct and ingredient are no links in 5.0.0",
            mpd(json!({"packagedMedicinalProduct": [text("pack")], "ingredient": [text("a")]})),
            vec![("/packagedMedicinalProduct", none.clone()), ("/ingredient", none.clone())],
            &[],
        ),
        row(
            "characteristic",
            mpd(json!({"characteristic": [{"type": text("round")}]})),
            vec![("/characteristic/0", text("round"))],
            &["/characteristic"],
        ),
        row(
            "characteristic with a value",
            mpd(json!({"characteristic": [{"type": text("shape"), "valueCodeableConcept": text("round")}]})),
            vec![("/characteristic/0", text("round"))],
            &[],
        ),
        row(
            "added: route, comprisedOf, impurity, code",
            mpd(
                json!({"route": [text("oral")], "comprisedOf": [to("ManufacturedItemDefinition/m")], "impurity": [concept("i")], "code": [{"code": "c"}]}),
            ),
            vec![
                ("/route", none.clone()),
                ("/comprisedOf", none.clone()),
                ("/impurity", none.clone()),
                ("/code", none.clone()),
            ],
            &[],
        ),
        row(
            "unchanged elements of a product",
            mpd(json!({
                "identifier": [{"value": "1"}], "type": text("t"), "domain": text("d"), "version": "7", "status": text("s"), "statusDate": "2020",
                "description": "words", "combinedPharmaceuticalDoseForm": text("tablet"), "indication": "headache",
                "legalStatusOfSupply": text("otc"), "additionalMonitoringIndicator": text("no"), "specialMeasures": [text("none")],
                "marketingStatus": [{"country": text("ES"), "status": text("marketed"), "dateRange": {"start": "2020"}}],
                "attachedDocument": [to("DocumentReference/d")], "masterFile": [to("DocumentReference/m")],
                "contact": [{"type": text("QPPV"), "contact": to("Organization/o")}], "clinicalTrial": [to("ResearchStudy/r")],
            })),
            vec![
                ("/indication", json!("headache")),
                ("/contact/0/contact", to("Organization/o")),
                ("/marketingStatus/0/country", text("ES")),
            ],
            &[
                "/identifier",
                "/type",
                "/domain",
                "/version",
                "/status",
                "/statusDate",
                "/description",
                "/combinedPharmaceuticalDoseForm",
                "/indication",
                "/legalStatusOfSupply",
                "/additionalMonitoringIndicator",
                "/specialMeasures",
                "/marketingStatus",
                "/attachedDocument",
                "/masterFile",
                "/contact",
                "/clinicalTrial",
            ],
        ),
        row(
            "MarketingStatus requires country and dateRange",
            mpd(json!({"marketingStatus": [{"status": text("marketed")}]})),
            vec![
                ("/marketingStatus/0/country/extension/0/valueCode", json!("unknown")),
                ("/marketingStatus/0/dateRange/extension/0/valueCode", json!("unknown")),
            ],
            &["/marketingStatus/0/status"],
        ),
    ]
}

fn authorisation_and_pack_rows() -> Vec<Row> {
    let none = Value::Null;
    vec![
        row(
            "one subject: the product before others",
            of(
                "RegulatedAuthorization",
                json!({"subject": [to("PackagedProductDefinition/p"), to("MedicinalProductDefinition/1")]}),
            ),
            vec![("/subject", to("MedicinalProductDefinition/1"))],
            &[],
        ),
        row(
            "one subject",
            of("RegulatedAuthorization", json!({"subject": [to("ActivityDefinition/a")]})),
            vec![("/subject", to("ActivityDefinition/a"))],
            &["/subject"],
        ),
        row(
            "indicationReference",
            of(
                "RegulatedAuthorization",
                json!({"indication": [{"reference": to("ClinicalUseDefinition/c")}]}),
            ),
            vec![("/indicationReference", to("ClinicalUseIssue/c"))],
            &["/indication"],
        ),
        row(
            "indicationCodeableConcept",
            of("RegulatedAuthorization", json!({"indication": [concept("headache")]})),
            vec![("/indicationCodeableConcept", text("headache"))],
            &["/indication"],
        ),
        row(
            "added: attachedDocument",
            of("RegulatedAuthorization", json!({"attachedDocument": [to("DocumentReference/d")]})),
            vec![("/attachedDocument", none.clone())],
            &[],
        ),
        row(
            "unchanged elements of an authorisation",
            of(
                "RegulatedAuthorization",
                json!({
                    "identifier": [{"value": "EU/1"}], "type": text("MA"), "description": "words", "region": [text("EU")], "status": text("valid"),
                    "statusDate": "2020-01-01", "validityPeriod": {"start": "2020"}, "intendedUse": text("use"), "basis": [text("law")],
                    "holder": to("Organization/o"), "regulator": to("Organization/r"),
                    "case": {"identifier": {"value": "EMEA/H/C/1"}, "type": text("central"), "status": text("done"), "dateDateTime": "2019",
                        "application": [{"type": text("initial")}]},
                }),
            ),
            vec![("/case/application/0/type", text("initial"))],
            &[
                "/identifier",
                "/type",
                "/description",
                "/region",
                "/status",
                "/statusDate",
                "/validityPeriod",
                "/intendedUse",
                "/basis",
                "/holder",
                "/regulator",
                "/case",
            ],
        ),
        row(
            "subject of a pack",
            of("PackagedProductDefinition", json!({"packageFor": [to("MedicinalProductDefinition/1")]})),
            vec![("/subject", json!([to("MedicinalProductDefinition/1")])), ("/packageFor", none.clone())],
            &["/packageFor"],
        ),
        row(
            "legalStatusOfSupply of a pack",
            of("PackagedProductDefinition", json!({"legalStatusOfSupply": [{"code": text("otc")}]})),
            vec![("/legalStatusOfSupply", text("otc"))],
            &["/legalStatusOfSupply"],
        ),
        row(
            "package",
            of(
                "PackagedProductDefinition",
                json!({"packaging": {
                    "identifier": [{"value": "1"}], "type": text("box"), "quantity": 1, "material": [text("card")], "alternateMaterial": [text("foil")],
                    "manufacturer": [to("Organization/o")],
                    "shelfLifeStorage": [{"type": text("unopened"), "periodDuration": {"value": 3, "unit": "a"}, "specialPrecautionsForStorage": [text("dry")]}],
                    "property": [{"type": text("colour"), "valueCodeableConcept": text("white")}],
                    "packaging": [{"type": text("blister"), "packaging": [{"type": text("pocket"), "containedItem": [
                        {"item": {"reference": to("ManufacturedItemDefinition/m")}, "amount": {"value": 1}}]}]}],
                }}),
            ),
            vec![
                ("/package/0/type", text("box")),
                ("/package/0/quantity", json!(1)),
                ("/package/0/material/0", text("card")),
                ("/package/0/alternateMaterial/0", text("foil")),
                ("/package/0/manufacturer/0", to("Organization/o")),
                ("/package/0/shelfLifeStorage/0/period/value", json!(3)),
                ("/package/0/property/0/valueCodeableConcept", text("white")),
                (
                    "/package/0/package/0/package/0/containedItem/0/item",
                    json!([to("ManufacturedItemDefinition/m")]),
                ),
                ("/package/0/package/0/package/0/containedItem/0/amountQuantity/value", json!(1)),
                ("/packaging", none.clone()),
            ],
            &["/packaging"],
        ),
        row(
            "componentPart",
            of(
                "PackagedProductDefinition",
                json!({"packaging": {"type": text("box"), "componentPart": true}}),
            ),
            vec![("/package/0/componentPart", none.clone()), ("/package/0/type", text("box"))],
            &["/packaging/type"],
        ),
        row(
            "ProductShelfLife: a period in words, no type",
            of(
                "PackagedProductDefinition",
                json!({"packaging": {"shelfLifeStorage": [{"periodString": "three years"}]}}),
            ),
            vec![
                ("/package/0/shelfLifeStorage/0/period/unit", json!("three years")),
                ("/package/0/shelfLifeStorage/0/type/extension/0/valueCode", json!("unknown")),
            ],
            &["/packaging/shelfLifeStorage/0/periodString"],
        ),
        row(
            "characteristic of a pack",
            of("PackagedProductDefinition", json!({"characteristic": [{"type": text("child-resistant")}]})),
            vec![("/characteristic/0", text("child-resistant"))],
            &["/characteristic"],
        ),
        row(
            "pack size in an extension",
            of("PackagedProductDefinition", json!({"containedItemQuantity": [{"value": 20}]})),
            vec![
                ("/extension/0/url", json!("http://ema.europa.eu/fhir/extension/containedItemQuantity")),
                ("/extension/0/valueQuantity/value", json!(20)),
            ],
            &["/containedItemQuantity"],
        ),
        row(
            "added: type, attachedDocument of a pack",
            of(
                "PackagedProductDefinition",
                json!({"type": text("t"), "attachedDocument": [to("DocumentReference/d")]}),
            ),
            vec![("/type", none.clone()), ("/attachedDocument", none)],
            &[],
        ),
    ]
}

fn part_rows() -> Vec<Row> {
    let none = Value::Null;
    let ingredient = |substance: Value| {
        of("Ingredient", json!({"status": "active", "role": text("active"), "substance": substance}))
    };
    let strength = |fields: Value| ingredient(json!({"code": concept("s"), "strength": [fields]}));
    let ratio = |n: i32, d: i32| json!({"numerator": {"value": n}, "denominator": {"value": d}});
    let range =
        json!({"lowNumerator": {"value": 1}, "highNumerator": {"value": 2}, "denominator": {"value": 3}});
    let administrable = |fields: Value| {
        of(
            "AdministrableProductDefinition",
            with(json!({"status": "active", "routeOfAdministration": [{"code": text("oral")}]}), fields),
        )
    };
    let item = |fields: Value| {
        of(
            "ManufacturedItemDefinition",
            with(json!({"status": "active", "manufacturedDoseForm": text("tablet")}), fields),
        )
    };
    vec![
        row(
            "subject of an administrable product",
            administrable(
                json!({"formOf": [to("MedicinalProductDefinition/1")], "administrableDoseForm": text("tablet")}),
            ),
            vec![
                ("/subject", json!([to("MedicinalProductDefinition/1")])),
                ("/formOf", none.clone()),
                ("/status", none.clone()),
            ],
            &["/formOf", "/administrableDoseForm"],
        ),
        row(
            "administrableDoseForm is required",
            administrable(json!({})),
            vec![("/administrableDoseForm/extension/0/valueCode", json!("unknown"))],
            &[],
        ),
        row(
            "device",
            administrable(
                json!({"administrableDoseForm": text("tablet"), "device": to("DeviceDefinition/d")}),
            ),
            vec![("/device", json!([to("DeviceDefinition/d")]))],
            &["/device"],
        ),
        row(
            "added: description; ingredient is no link",
            administrable(
                json!({"administrableDoseForm": text("t"), "description": "d", "ingredient": [text("i")]}),
            ),
            vec![("/description", none.clone()), ("/ingredient", none.clone())],
            &[],
        ),
        row(
            "routes with species",
            administrable(
                json!({"administrableDoseForm": text("t"), "routeOfAdministration": [{"code": text("oral"),
                "targetSpecies": [{"code": text("cat"), "withdrawalPeriod": [{"tissue": text("milk"), "value": {"value": 1}}]}]}]}),
            ),
            vec![("/routeOfAdministration/0/targetSpecies/0/code", text("cat"))],
            &["/routeOfAdministration"],
        ),
        row(
            "property values that 4.4.0 does not have",
            administrable(json!({"administrableDoseForm": text("t"),
                "property": [{"type": text("p"), "valueMarkdown": "m"}, {"type": text("q"), "valueCodeableConcept": text("v")}]})),
            vec![
                ("/property/0/valueMarkdown", none.clone()),
                ("/property/1/valueCodeableConcept", text("v")),
            ],
            &[],
        ),
        row(
            "added to an item",
            item(
                json!({"name": "n", "marketingStatus": [{"status": text("s")}], "component": [{"type": text("c")}], "ingredient": [text("i")]}),
            ),
            vec![
                ("/name", none.clone()),
                ("/marketingStatus", none.clone()),
                ("/component", none.clone()),
                ("/ingredient", none.clone()),
                ("/status", none.clone()),
                ("/manufacturedDoseForm", text("tablet")),
            ],
            &["/manufacturedDoseForm"],
        ),
        row(
            "added to an ingredient",
            with(
                ingredient(json!({"code": concept("s")})),
                json!({"group": text("g"), "for": [to("MedicinalProductDefinition/1")]}),
            ),
            vec![("/status", none.clone()), ("/group", none.clone()), ("/for", none.clone())],
            &["/role"],
        ),
        row(
            "description of an ingredient",
            with(ingredient(json!({"code": concept("s")})), json!({"comment": "words"})),
            vec![("/description", json!("words"))],
            &["/comment"],
        ),
        row(
            "manufacturer of an ingredient",
            with(
                ingredient(json!({"code": concept("s")})),
                json!({"manufacturer": [{"manufacturer": to("Organization/o")}]}),
            ),
            vec![("/manufacturer", json!([to("Organization/o")]))],
            &["/manufacturer"],
        ),
        row(
            "substance.codeReference",
            ingredient(json!({"code": {"reference": to("SubstanceDefinition/s")}})),
            vec![("/substance/codeReference", to("SubstanceDefinition/s"))],
            &["/substance"],
        ),
        row(
            "substance.codeCodeableConcept",
            ingredient(json!({"code": concept("s")})),
            vec![("/substance/codeCodeableConcept", text("s"))],
            &["/substance"],
        ),
        row(
            "presentation",
            strength(json!({"presentationRatio": ratio(1, 2), "textPresentation": "words"})),
            vec![
                ("/substance/strength/0/presentation", ratio(1, 2)),
                ("/substance/strength/0/presentationText", json!("words")),
            ],
            &["/substance"],
        ),
        row(
            "presentationHighLimit",
            strength(json!({"presentationRatioRange": range.clone()})),
            vec![
                ("/substance/strength/0/presentation", ratio(1, 3)),
                ("/substance/strength/0/presentationHighLimit", ratio(2, 3)),
            ],
            &["/substance"],
        ),
        row(
            "presentation as a quantity",
            strength(json!({"presentationQuantity": {"value": 5}})),
            vec![
                ("/substance/strength/0/presentation/numerator/value", json!(5)),
                ("/substance/strength/0/presentation/denominator/extension/0/valueCode", json!("unknown")),
            ],
            &["/substance"],
        ),
        row(
            "presentation as a concept",
            strength(json!({"presentationCodeableConcept": text("some")})),
            vec![("/substance/strength/0/presentationText", json!("some"))],
            &[],
        ),
        row(
            "concentration",
            strength(json!({"concentrationRatio": ratio(1, 2), "textConcentration": "words"})),
            vec![
                ("/substance/strength/0/concentration", ratio(1, 2)),
                ("/substance/strength/0/concentrationText", json!("words")),
            ],
            &["/substance"],
        ),
        row(
            "concentrationHighLimit",
            strength(json!({"concentrationRatioRange": range.clone()})),
            vec![("/substance/strength/0/concentrationHighLimit", ratio(2, 3))],
            &["/substance"],
        ),
        row(
            "referenceStrength",
            strength(
                json!({"referenceStrength": [{"substance": concept("base"), "strengthRatio": ratio(1, 2)},
                {"substance": {"reference": to("SubstanceDefinition/s")}, "strengthRatioRange": range}]}),
            ),
            vec![
                ("/substance/strength/0/referenceStrength/0/substanceCodeableConcept", text("base")),
                ("/substance/strength/0/referenceStrength/0/strength", ratio(1, 2)),
                ("/substance/strength/0/referenceStrength/1/substanceReference", to("SubstanceDefinition/s")),
                ("/substance/strength/0/referenceStrength/1/strengthHighLimit", ratio(2, 3)),
            ],
            &["/substance"],
        ),
        row(
            "basis",
            strength(json!({"basis": text("salt"), "presentationRatio": ratio(1, 2)})),
            vec![("/substance/strength/0/basis", none)],
            &["/substance/strength/0/presentationRatio"],
        ),
    ]
}

fn clinical_and_substance_rows() -> Vec<Row> {
    let none = Value::Null;
    let used = |kind: &str, fields: Value| of("ClinicalUseDefinition", with(json!({"type": kind}), fields));
    let substance = |fields: Value| of("SubstanceDefinition", fields);
    vec![
        row(
            "ClinicalUseIssue",
            used(
                "indication",
                json!({"subject": [to("MedicinalProductDefinition/1")], "category": [text("a")]}),
            ),
            vec![("/resourceType", json!("ClinicalUseIssue")), ("/category", text("a"))],
            &["/resourceType", "/subject", "/category"],
        ),
        row(
            "contraindication",
            used(
                "contraindication",
                json!({"contraindication": {"diseaseSymptomProcedure": concept("a"), "diseaseStatus": concept("b"),
                "comorbidity": [concept("c")], "otherTherapy": [{"relationshipType": text("r"), "treatment": concept("t")}]}}),
            ),
            vec![
                ("/contraindication/diseaseSymptomProcedure", text("a")),
                ("/contraindication/diseaseStatus", text("b")),
                ("/contraindication/comorbidity", json!([text("c")])),
                ("/contraindication/otherTherapy/0/therapyRelationshipType", text("r")),
                ("/contraindication/otherTherapy/0/medicationCodeableConcept", text("t")),
            ],
            &["/contraindication"],
        ),
        row(
            "indication",
            used(
                "indication",
                json!({"indication": {"diseaseSymptomProcedure": concept("a"), "intendedEffect": concept("e"),
                "durationRange": {"low": {"value": 3}, "high": {"value": 3}}}}),
            ),
            vec![
                ("/indication/diseaseSymptomProcedure", text("a")),
                ("/indication/intendedEffect", text("e")),
                ("/indication/duration/value", json!(3)),
            ],
            &["/indication"],
        ),
        row(
            "indication.durationString",
            used("indication", json!({"indication": {"durationString": "long"}})),
            vec![("/indication/duration", none.clone())],
            &[],
        ),
        row(
            "interaction",
            used("interaction", json!({"interaction": {"effect": concept("e"), "management": [text("m")]}})),
            vec![("/interaction/effect", text("e")), ("/interaction/management", text("m"))],
            &["/interaction"],
        ),
        row(
            "undesirableEffect",
            used(
                "undesirable-effect",
                json!({"undesirableEffect": {"symptomConditionEffect": concept("e")}}),
            ),
            vec![("/undesirableEffect/symptomConditionEffect", text("e"))],
            &["/undesirableEffect"],
        ),
        row(
            "population, library, warning",
            used(
                "warning",
                json!({"population": [to("Group/g")], "library": ["http://x.example"], "warning": {"description": "w"}}),
            ),
            vec![("/population", none.clone()), ("/library", none.clone()), ("/warning", none.clone())],
            &[],
        ),
        row(
            "category of a substance",
            substance(json!({"classification": [text("chemical")]})),
            vec![("/category", text("chemical")), ("/classification", none.clone())],
            &["/classification"],
        ),
        row(
            "source of a substance",
            substance(json!({"informationSource": [to("Citation/c")]})),
            vec![("/source", json!([to("Citation/c")]))],
            &["/informationSource"],
        ),
        row(
            "identifier of a substance is one",
            substance(json!({"identifier": [{"value": "1"}]})),
            vec![("/identifier/value", json!("1"))],
            &["/identifier"],
        ),
        row(
            "moiety.amountType",
            substance(json!({"moiety": [{"measurementType": text("weight")}]})),
            vec![("/moiety/0/amountType", text("weight"))],
            &["/moiety"],
        ),
        row(
            "property of a substance",
            substance(json!({"property": [{"type": text("p"), "valueQuantity": {"value": 1}}]})),
            vec![("/property/0/code", text("p")), ("/property/0/amountQuantity/value", json!(1))],
            &["/property"],
        ),
        row(
            "relationship",
            substance(
                json!({"relationship": [{"substanceDefinitionCodeableConcept": text("s"), "type": text("salt"),
                "ratioHighLimitAmount": {"numerator": {"value": 1}}, "comparator": text("about")}]}),
            ),
            vec![
                ("/relationship/0/amountRatioHighLimit/numerator/value", json!(1)),
                ("/relationship/0/amountType", text("about")),
                ("/relationship/0/type", text("salt")),
            ],
            &["/relationship"],
        ),
        row(
            "added: grade, characterization; sourceMaterial is another thing",
            substance(
                json!({"grade": [text("g")], "characterization": [{"technique": text("t")}], "sourceMaterial": {"type": text("plant")}}),
            ),
            vec![("/grade", none.clone()), ("/characterization", none.clone()), ("/sourceMaterial", none)],
            &[],
        ),
    ]
}

fn other_rows() -> Vec<Row> {
    let none = Value::Null;
    let telecom = json!([{"system": "email", "value": "a@b.example"}]);
    let document = |fields: Value| {
        of(
            "DocumentReference",
            with(
                json!({"status": "current", "content": [{"attachment": {"url": "http://x.example"}}]}),
                fields,
            ),
        )
    };
    vec![
        row(
            "telecom and address of an organisation",
            of(
                "Organization",
                json!({"name": "O", "contact": [{"telecom": telecom, "address": {"city": "Vigo"}}]}),
            ),
            vec![
                ("/telecom", telecom.clone()),
                ("/address/0/city", json!("Vigo")),
                ("/contact", none.clone()),
            ],
            &["/contact"],
        ),
        row(
            "contact of an organisation",
            of(
                "Organization",
                json!({"name": "O", "contact": [{"purpose": text("enquiry"), "name": [{"text": "N"}], "telecom": telecom}]}),
            ),
            vec![("/contact/0/purpose", text("enquiry")), ("/contact/0/name/text", json!("N"))],
            &["/contact"],
        ),
        row(
            "added: description, qualification",
            of(
                "Organization",
                json!({"name": "O", "description": "d", "qualification": [{"code": text("q")}]}),
            ),
            vec![("/description", none.clone()), ("/qualification", none.clone())],
            &[],
        ),
        row(
            "context of a document",
            document(
                json!({"period": {"start": "2020"}, "facilityType": text("f"), "practiceSetting": text("p"), "event": [concept("e")]}),
            ),
            vec![
                ("/context/period/start", json!("2020")),
                ("/context/facilityType", text("f")),
                ("/context/practiceSetting", text("p")),
                ("/context/event", json!([text("e")])),
            ],
            &["/period", "/facilityType", "/practiceSetting", "/event"],
        ),
        row(
            "authenticator",
            document(json!({"attester": [{"mode": text("authenticator"), "party": to("Organization/o")}]})),
            vec![("/authenticator", to("Organization/o"))],
            &["/attester"],
        ),
        row(
            "relatesTo.code",
            document(
                json!({"relatesTo": [{"code": {"coding": [{"system": "http://hl7.org/fhir/document-relationship-type", "code": "replaces"}]}, "target": to("DocumentReference/d")}]}),
            ),
            vec![("/relatesTo/0/code", json!("replaces"))],
            &["/relatesTo"],
        ),
        row(
            "content.format",
            document(
                json!({"content": [{"attachment": {"url": "http://x.example"}, "profile": [{"valueCoding": {"code": "pdf"}}]}]}),
            ),
            vec![("/content/0/format/code", json!("pdf"))],
            &["/content"],
        ),
        row(
            "description of a document",
            document(json!({"description": "words"})),
            vec![("/description", json!("words"))],
            &["/description"],
        ),
        row(
            "added: version, modality, bodySite",
            document(json!({"version": "1", "modality": [text("m")], "bodySite": [concept("b")]})),
            vec![("/version", none.clone()), ("/modality", none.clone()), ("/bodySite", none.clone())],
            &[],
        ),
        row(
            "location of an activity",
            of(
                "ActivityDefinition",
                json!({"status": "active", "location": {"reference": to("Location/l")}}),
            ),
            vec![("/location", to("Location/l"))],
            &["/location"],
        ),
        row(
            "participant of an activity, of which nothing is left without its reference",
            of(
                "ActivityDefinition",
                json!({"status": "active", "participant": [{"typeReference": to("Organization/o"), "function": text("f")}]}),
            ),
            vec![("/participant", none.clone())],
            &[],
        ),
        row(
            "participant.type",
            of(
                "ActivityDefinition",
                json!({"status": "active", "participant": [{"type": "relatedperson", "role": text("maker")}]}),
            ),
            vec![("/participant/0/type", json!("related-person")), ("/participant/0/role", text("maker"))],
            &["/participant"],
        ),
        row(
            "contacts of a person in a role",
            of("PractitionerRole", json!({"contact": [{"telecom": telecom}]})),
            vec![("/telecom", telecom)],
            &["/contact"],
        ),
    ]
}

#[test]
fn every_row_of_the_differences_is_shown_in_both_directions() {
    let rows: Vec<Row> = [
        product_rows(),
        authorisation_and_pack_rows(),
        part_rows(),
        clinical_and_substance_rows(),
        other_rows(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut wrong = Vec::new();
    for Row { what, resource, there, back } in &rows {
        let problems = schema::check(resource);
        assert!(problems.is_empty(), "{what}: {problems:?}");
        let shown = render::to_4_4_0(resource, &Product::new(resource.clone(), vec![]));
        let problems = schema::check_in(FhirVersion::V4_4_0, &shown);
        if !problems.is_empty() {
            wrong.push(format!("{what}: not 4.4.0: {problems:?}\n{shown}"));
        }
        for (pointer, expected) in there {
            let found = shown.pointer(pointer).cloned().unwrap_or_default();
            if found != *expected {
                wrong.push(format!("{what}: {pointer} is {found} instead of {expected}\n{shown}"));
            }
        }
        let converted = convert::from_4_4_0(std::slice::from_ref(&shown));
        let Some(again) = converted.resources.first() else {
            wrong.push(format!("{what}: refused on the way back: {:?}", converted.refused));
            continue;
        };
        for pointer in back {
            if again.pointer(pointer) != resource.pointer(pointer) {
                wrong.push(format!("{what}: came back with another {pointer}: {again}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    assert!(rows.len() >= 70, "{}", rows.len());
}

/// What 4.4.0 has and 5.0.0 has no place for is told, and the rest is kept.
#[test]
fn every_row_that_4_4_0_alone_has_is_told() {
    for (what, resource) in [
        (
            "RegulatedAuthorization.relatedDate",
            json!({"resourceType": "RegulatedAuthorization", "id": "x", "relatedDate": [{"dateDateTime": "2020", "type": text("first")}]}),
        ),
        (
            "RegulatedAuthorization.jurisdictionalAuthorization",
            json!({"resourceType": "RegulatedAuthorization", "id": "x", "jurisdictionalAuthorization": [to("RegulatedAuthorization/y")]}),
        ),
        (
            "PackagedProductDefinition.batchIdentifier",
            json!({"resourceType": "PackagedProductDefinition", "id": "x", "batchIdentifier": [{"outerPackaging": {"value": "1"}}]}),
        ),
        (
            "Ingredient.specifiedSubstance",
            json!({"resourceType": "Ingredient", "id": "x", "role": text("active"),
            "substance": {"codeCodeableConcept": text("s")}, "specifiedSubstance": [{"codeCodeableConcept": text("s"), "group": text("1")}]}),
        ),
        (
            "ClinicalUseIssue.population",
            json!({"resourceType": "ClinicalUseIssue", "id": "x", "type": "indication", "population": [{"gender": text("f")}]}),
        ),
        (
            "SubstanceDefinition.sourceMaterial",
            json!({"resourceType": "SubstanceDefinition", "id": "x", "sourceMaterial": to("SubstanceSourceMaterial/m")}),
        ),
    ] {
        assert_eq!(schema::check_in(FhirVersion::V4_4_0, &resource), vec![], "{what}");
        let converted = convert::from_4_4_0(&[resource]);
        assert_eq!(converted.refused, vec![], "{what}");
        assert!(converted.notes.iter().any(|note| note.path == what), "{what}: {:?}", converted.notes);
    }
}

/// Forward links of 4.4.0 stand for the inverse ones of 5.0.0, each of them in both directions.
#[test]
fn every_forward_link_is_an_inverse_link_turned_round() {
    let part = |kind: &str, id: &str, fields: Value| with(json!({"resourceType": kind, "id": id}), fields);
    let product = Product::new(
        mpd(json!({"operation": [{"type": {"reference": to("ActivityDefinition/act")}}]})),
        vec![
            part(
                "AdministrableProductDefinition",
                "apd",
                json!({"status": "unknown", "administrableDoseForm": text("t"),
                "formOf": [to("MedicinalProductDefinition/1")], "routeOfAdministration": [{"code": text("oral")}]}),
            ),
            part(
                "PackagedProductDefinition",
                "ppd",
                json!({"packageFor": [to("MedicinalProductDefinition/1")]}),
            ),
            part(
                "ManufacturedItemDefinition",
                "mid",
                json!({"status": "unknown", "manufacturedDoseForm": text("t")}),
            ),
            part(
                "Ingredient",
                "ing",
                json!({"status": "unknown", "role": text("a"), "substance": {"code": concept("s")},
                "for": [to("AdministrableProductDefinition/apd"), to("ManufacturedItemDefinition/mid"), to("MedicinalProductDefinition/1")]}),
            ),
            part("RegulatedAuthorization", "ra", json!({"subject": [to("PackagedProductDefinition/ppd")]})),
            part("RegulatedAuthorization", "mia", json!({"subject": [to("ActivityDefinition/act")]})),
            part("ActivityDefinition", "act", json!({"status": "active"})),
        ],
    );
    let shown = render::product_to_4_4_0(&product);
    let find = |id: &str| shown.resources().find(|one| one["id"] == id).unwrap();
    for (id, pointer, expected) in [
        ("1", "/pharmaceuticalProduct", json!([to("AdministrableProductDefinition/apd")])),
        ("1", "/packagedMedicinalProduct", json!([to("PackagedProductDefinition/ppd")])),
        ("1", "/ingredient", json!([to("Ingredient/ing")])),
        ("1", "/manufacturingBusinessOperation/0/authorization", to("RegulatedAuthorization/mia")),
        ("apd", "/ingredient", json!([to("Ingredient/ing")])),
        ("mid", "/ingredient", json!([to("Ingredient/ing")])),
        ("ppd", "/marketingAuthorization", to("RegulatedAuthorization/ra")),
        ("ppd", "/subject", json!([to("MedicinalProductDefinition/1")])),
        ("apd", "/subject", json!([to("MedicinalProductDefinition/1")])),
    ] {
        assert_eq!(find(id).pointer(pointer), Some(&expected), "{id} {pointer}");
    }
    let there: Vec<Value> = shown.resources().cloned().collect();
    let back = convert::from_4_4_0(&there);
    assert_eq!((back.refused, back.notes), (vec![], vec![]));
    for (before, after) in product.resources().zip(&back.resources) {
        for link in ["formOf", "packageFor", "for", "subject"] {
            let sorted = |resource: &Value| {
                let mut links: Vec<String> =
                    resource[link].as_array().into_iter().flatten().map(Value::to_string).collect();
                links.sort();
                links
            };
            assert_eq!(sorted(before), sorted(after), "{} {link}", before["id"]);
        }
    }
}
